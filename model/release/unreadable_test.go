package release

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

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
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.createTopics()
			w.release("v1")
			w.champion(-1, "v1")
			follow := func() *Follower {
				f, err := NewFollower(Config{Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Log: slog.New(slog.NewTextHandler(w.log, nil))})
				require.NoError(t, err)
				f.idle = 100 * time.Millisecond
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- f.Run(ctx) }()
				t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
				return f
			}
			f := follow()
			w.serves(f, 0, "v1")
			held, letGo := kafkatest.Hold(w.broker.Cluster())
			<-held
			w.putRoute(schemas.Route{Champion: "v2", By: "test", Why: "test"})
			w.putRoute(schemas.Route{Champion: "v3", By: "test", Why: "test"})
			require.NoError(t, damage(dir, w.topics.Routes, 0, 2))
			letGo()
			const says = "t.routes/0 cannot be read at offset 2" // 1 is the marker of the first
			w.eventually(func() bool { err := f.Pending(); return err != nil && strings.Contains(err.Error(), says) }, "it says what it waits for")
			require.Contains(t, w.log.String(), says)
			require.Contains(t, f.Status().Pending, says)
			w.serves(f, 0, "v1")

			late := follow()
			w.eventually(func() bool { err := late.Ready(); return err != nil && strings.Contains(err.Error(), says) }, "one that starts is unready and says why")
		})
	}
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
			f, err := NewFollower(Config{Kafka: w.config, Topics: w.topics, Engine: model.EngineAuto, Log: slog.New(slog.NewTextHandler(w.log, nil))})
			require.NoError(t, err)
			f.idle = 100 * time.Millisecond
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()
			t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
			w.eventually(func() bool {
				err := f.Ready()
				return err != nil && strings.Contains(err.Error(), "t.models/0 cannot be read at offset 0")
			}, "it says what it waits for")
		})
	}
}
