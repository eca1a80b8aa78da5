package reports

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

// claim is one to score/one whose process is about to start.
func (w *world) claim() *Claim {
	return NewClaim(w.config, w.topics, "score", "one", slog.New(slog.NewTextHandler(w.log, nil)))
}

// said writes a report of a process, as its reporter would.
func (w *world) said(instance string, started time.Time) { w.saidAt(instance, started, time.Now()) }

// saidAt writes a report of a process whose clock says at.
func (w *world) saidAt(instance string, started, at time.Time) {
	p := schemas.Replica{Component: "score", Instance: instance, Host: "node-7", Version: "v1", Started: schemas.At(started), At: schemas.At(at), Ready: true}
	w.write(&kgo.Record{Key: []byte(schemas.ReplicaKey("score", instance)), Value: schemas.AppendReplica(nil, &p), Timestamp: at})
}

// stopped writes that a process has stopped by itself.
func (w *world) stopped(instance string, started time.Time) {
	w.write(&kgo.Record{
		Key:     []byte(schemas.ReplicaKey("score", instance)),
		Headers: []kgo.RecordHeader{{Key: schemas.HeaderStarted, Value: []byte(schemas.At(started).String())}},
	})
}

func (w *world) write(r *kgo.Record) {
	r.Topic = w.topics.Replicas
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), r).FirstErr())
}

func TestClaim_IsHeldAtOnceWhereNobodyReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	started := time.Now().Add(-time.Minute)
	w.said("two", started)
	w.said("one", started)
	w.stopped("one", started)
	c := w.claim()
	c.quiet = time.Hour // it would wait for long
	require.False(t, c.Held())
	require.NoError(t, c.Take(t.Context()))
	require.True(t, c.Held())

	w.said("one", started)
	c = w.claim()
	c.quiet = time.Hour
	c.now = func() time.Time { return time.Now().Add(2 * look) } // the report is as old by now
	require.NoError(t, c.Take(t.Context()))
	require.NotContains(t, w.log.String(), "waiting")
}

func TestClaim_IsHeldOnceTheNameIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	w.said("one", time.Now())
	c := w.claim()
	c.quiet = 500 * time.Millisecond
	require.NoError(t, c.Take(t.Context()))
	require.True(t, c.Held())
	require.Contains(t, w.log.String(), "waiting until nobody reports under this name")
}

// The one that waits reports nothing: two that wait do not take each other for one
// that works, and the one that works is not hidden.
func TestClaim_IsRefusedWhereTheNameReportsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	started := time.Now().Add(-time.Hour).UTC()
	w.report(started, Component{Name: "score", Instance: "one", Ready: fine})
	w.eventually(func() bool { return len(w.read()) == 1 }, "it reports")

	c := w.claim()
	c.quiet = time.Minute
	second := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine, Claim: c})
	err := c.Take(t.Context())
	require.ErrorContains(t, err, "another process runs as score/one: on host node-7, started "+schemas.At(started).String())
	require.ErrorContains(t, err, "give each process its own --instance")
	var taken *TakenError
	require.ErrorAs(t, err, &taken)
	require.False(t, c.Held())
	second.end(err)
	all := w.read()
	require.Len(t, all, 1, "the second has reported nothing, its end neither")
	require.Equal(t, schemas.At(started), all[0].Started)
	require.True(t, all[0].Ready)
}

// How old a report is says nothing: its time is another machine's.
func TestClaim_DoesNotBelieveClocks(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"the holder's is slow": -50 * time.Second, "the holder's is fast": 50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.createTopic()
			clock := func() time.Time { return time.Now().Add(ahead) }
			started := clock().Add(-time.Hour)
			w.saidAt("one", started, clock())
			c := w.claim()
			c.quiet = 45 * time.Second
			result := make(chan error, 1)
			go func() { result <- c.Take(t.Context()) }()
			w.eventually(func() bool { return c.Held() || w.log.String() != "" }, "it waits")
			require.False(t, c.Held())
			w.saidAt("one", started, clock())
			var taken *TakenError
			require.ErrorAs(t, <-result, &taken)
			require.Equal(t, schemas.At(started), taken.Holder.Started)
		})
	}
}

func TestClaim_IsHeldWhenTheHolderStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	started := time.Now()
	w.said("one", started)
	c := w.claim()
	c.quiet = time.Hour
	taken := make(chan error, 1)
	go func() { taken <- c.Take(t.Context()) }()
	w.eventually(func() bool { return c.Held() || w.log.String() != "" }, "it waits")
	w.stopped("one", started)
	require.NoError(t, <-taken)
}

// Where nobody may look, fencing has the last word.
func TestClaim_IsHeldWhereReportsCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // without the topic
	c := w.claim()
	require.NoError(t, c.Take(t.Context()))
	require.True(t, c.Held())
	require.Contains(t, w.log.String(), "cannot look whether another process runs under this name")
}

func TestReporter_ReportsOnceTheNameIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	c := w.claim()
	r := w.report(time.Now(), Component{Name: "score", Instance: "one", Ready: fine, Claim: c}, Component{Name: "view", Instance: "one", Ready: fine})
	w.eventually(func() bool { return len(w.read()) == 1 }, "the view reports")
	require.NoError(t, c.Take(t.Context()))
	w.eventually(func() bool { return len(w.read()) == 2 }, "and the scorer")
	r.end(nil)
	w.eventually(func() bool { return len(w.read()) == 0 }, "both are gone")
}
