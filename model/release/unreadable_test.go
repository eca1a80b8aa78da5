package release

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// followSoon is follow with a follower that looks and tries again after a moment.
func (w *world) followSoon() *Follower {
	f, err := NewFollower(Config{Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	require.NoError(w.t, err)
	f.idle, f.pause = 100*time.Millisecond, 10*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); require.NoError(w.t, <-done) })
	return f
}

// followThenHold is a follower that serves v1, at whose broker, which keeps its log in dir,
// nothing more is read until it is let go.
func followThenHold(t *testing.T) (w *world, dir string, f *Follower, letGo func()) {
	dir = t.TempDir()
	w = newWorldIn(t, dir)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	f = w.followSoon()
	w.serves(f, 0, "v1")
	held, letGo := kafkatest.Hold(w.broker.Cluster())
	<-held
	return w, dir, f, letGo
}

// A route that cannot be read is not waited for without a word, whatever is wrong with it:
// readiness and the log name it, and what served goes on serving. That a route is another
// revision than it was is noticed too.
func TestUnreadableBatch_OfARouteIsNamed(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{
		"records": kafkatest.Records, "length": kafkatest.Length, "format 0": kafkatest.Format(0), "offset": kafkatest.Moved(6),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir, f, letGo := followThenHold(t)
			w.putRoute(schemas.Route{Champion: "v2", By: "test", Why: "test"})
			w.putRoute(schemas.Route{Champion: "v3", By: "test", Why: "test"})
			require.NoError(t, damage(dir, w.topics.Routes, 0, 2))
			letGo()
			const says = "t.routes/0 cannot be read at offset 2" // 1 is the marker of the first
			w.eventually(func() bool { err := f.Pending(); return err != nil && strings.Contains(err.Error(), says) }, "it says what it waits for")
			require.Contains(t, w.log.String(), says)
			require.Contains(t, f.Status().Pending, says)
			w.serves(f, 0, "v1")

			late := w.followSoon()
			w.eventually(func() bool { err := late.Ready(); return err != nil && strings.Contains(err.Error(), says) }, "one that starts is unready and says why")
		})
	}
}

// What cannot be read is tried again and again: it is said for as long as that fails, and
// logged once.
func TestUnreadableBatch_IsSaidOnceAndForAsLongAsItIsThere(t *testing.T) {
	t.Parallel()
	w, dir, f, letGo := followThenHold(t)
	w.putRoute(schemas.Route{Champion: "v2", By: "test", Why: "test"})
	require.NoError(t, kafkatest.Records(dir, w.topics.Routes, 0, 2))
	letGo()
	const says = "t.routes/0 cannot be read at offset 2"
	named := func(err error) bool { return err != nil && strings.Contains(err.Error(), says) }
	w.eventually(func() bool { return named(f.Pending()) }, "it says what it waits for")
	late := w.followSoon()
	w.eventually(func() bool { return named(late.Ready()) }, "so does one that starts")

	var asked, silent atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		asked.Add(1)
		if !named(f.Pending()) || !strings.Contains(f.Status().Pending, says) || !named(late.Ready()) {
			silent.Add(1)
		}
		return nil, nil, false
	})
	w.eventually(func() bool { return asked.Load() > 50 }, "they try again")
	require.Zero(t, silent.Load())
	require.Equal(t, 2, strings.Count(w.log.String(), "cannot follow models and routes"), "once each:\n%s", w.log)
}

// So it is for models.
func TestUnreadableBatch_OfABundleIsNamed(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]kafkatest.Damage{"records": kafkatest.Records, "length": kafkatest.Length} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.createTopics()
			w.release("v1")
			require.NoError(t, damage(dir, w.topics.Models, 0, 0))
			f := w.followSoon()
			w.eventually(func() bool {
				err := f.Ready()
				return err != nil && strings.Contains(err.Error(), "t.models/0 cannot be read at offset 0")
			}, "it says what it waits for")
		})
	}
}

// A batch that unpacks to more than anything that creditstream writes is the same on every
// copy: it is left out and told of, by who follows, who starts and who reads once. What
// stands behind it counts.
func TestOversizedBatch_HoldsUpNoRouteAndNoBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	f := w.followSoon()
	w.serves(f, 0, "v1")
	for _, topic := range []string{w.topics.Routes, w.topics.Models} {
		require.NoError(t, kafkatest.Oversized(t.Context(), w.config.Brokers, topic, kafka.MaxBatch))
	}
	w.release("v2")
	revision := w.champion(0, "v2")
	require.EqualValues(t, 3, revision, "the large record is where the second revision would be")
	w.serves(f, revision, "v2")
	late := w.followSoon()
	w.serves(late, revision, "v2")
	require.NoError(t, f.Pending())
	const says = "the batch unpacks to more than 64 MiB"
	named := func(topic string) int {
		return len(regexp.MustCompile("topic="+topic+" .*"+says).FindAllString(w.log.String(), -1))
	}
	require.Equal(t, 2, named("t.routes"), "by each follower:\n%s", w.log)
	require.Contains(t, []int{1, 2}, named("t.models"), "the broker may have compacted the log since:\n%s", w.log)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Contains(t, []int{1, 2}, len(h.Problems()))
	for _, p := range h.Problems() {
		require.Contains(t, p.String(), says)
	}
}

// A batch that was aborted and is too large for a client to see that is no problem of
// models and routes.
func TestAbortedBatch_ThatIsTooLargeHoldsUpNoRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	f := w.followSoon()
	w.serves(f, 0, "v1")
	require.NoError(t, kafkatest.AbortedOversized(t.Context(), w.config.Brokers, w.topics.Routes, kafka.MaxBatch+1))
	w.release("v2")
	revision := w.champion(0, "v2")
	w.serves(f, revision, "v2")
	w.serves(w.followSoon(), revision, "v2")
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Empty(t, h.Problems())
}
