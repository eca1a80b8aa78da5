package release

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// slowOpener is a follower with routes, and an opener at which version "slow" takes
// until it is let go or given up.
type slowOpener struct {
	t      *testing.T
	f      *Follower
	o      *opener
	clock  time.Time
	letGo  chan struct{}
	gaveUp chan struct{}
}

func newSlowOpener(t *testing.T) *slowOpener {
	t.Helper()
	registry := prometheus.NewRegistry()
	f, err := NewFollower(Config{Topics: schemas.NewTopics("t"), Engine: model.EngineAuto, Log: slog.New(slog.DiscardHandler), Registerer: registry})
	require.NoError(t, err)
	s := &slowOpener{t: t, f: f, clock: time.Unix(1e9, 0), letGo: make(chan struct{}), gaveUp: make(chan struct{})}
	bundles := map[string][]byte{"v1": version(t, "v1"), "v2": version(t, "v2"), "slow": version(t, "slow")}
	s.o = newOpener(model.EngineAuto, func(v string) ([]byte, bool) {
		b, ok := bundles[v]
		return b, ok
	})
	s.o.now = func() time.Time { return s.clock }
	s.o.parse = func(ctx context.Context, bundle []byte, engine string) (*model.Model, error) {
		m, err := parse(context.Background(), bundle, engine)
		if err != nil || m.Version != "slow" {
			return m, err
		}
		select {
		case <-s.letGo:
			return m, nil
		case <-ctx.Done():
			close(s.gaveUp)
			return nil, ctx.Err()
		}
	}
	s.o.inBackground(t.Context(), f.wake)
	return s
}

func (s *slowOpener) route(r schemas.Route) {
	r.Policy = policy.DefaultText
	s.f.mu.Lock()
	s.f.history.routes = append(s.f.history.routes, Revision{Number: int64(len(s.f.history.routes)), Route: r})
	s.f.caughtUp = true
	s.f.mu.Unlock()
	s.f.settle(s.o)
}

// settled waits until a champion serves.
func (s *slowOpener) settled(champion string) {
	s.t.Helper()
	for {
		if live := s.f.Live(); live != nil && live.Champion.Version == champion {
			return
		}
		select {
		case <-s.f.changed:
			s.f.settle(s.o)
		case <-time.After(time.Minute):
			require.Fail(s.t, "does not serve "+champion)
		}
	}
}

func TestFollower_TakesUpANewerRouteWhileABundleOpens(t *testing.T) {
	t.Parallel()
	s := newSlowOpener(t)
	s.route(schemas.Route{Champion: "v1"})
	s.settled("v1")
	require.NoError(t, s.f.Pending())

	s.route(schemas.Route{Champion: "slow"})
	require.ErrorContains(t, s.f.Pending(), "route revision 1 waits: opening model slow since 01:46:40")
	require.Contains(t, s.f.Status().Pending, "opening model slow", "as replicas report it")
	require.NoError(t, s.f.Ready(), "the old one serves")
	require.Equal(t, 1.0, testutil.ToFloat64(s.f.metrics.opening.WithLabelValues("slow")))

	s.route(schemas.Route{Champion: "v2"}) // a way back that was not held up
	s.settled("v2")
	<-s.gaveUp // nobody needs it any more
	require.NoError(t, s.f.Pending())
	require.Zero(t, testutil.CollectAndCount(s.f.metrics.opening))
	require.Empty(t, s.f.Status().Refused, "it was not refused, only not waited for")
}

func TestFollower_ServesABundleThatTookLong(t *testing.T) {
	t.Parallel()
	s := newSlowOpener(t)
	s.route(schemas.Route{Champion: "slow"})
	require.ErrorContains(t, s.f.Ready(), "opening model slow")
	close(s.letGo)
	s.settled("slow")
	require.NoError(t, s.f.Pending())
}

func TestFollower_RefusesABundleThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s := newSlowOpener(t)
	s.route(schemas.Route{Champion: "v1"})
	s.settled("v1")
	s.route(schemas.Route{Champion: "slow", Shadow: nil})
	s.clock = s.clock.Add(openTime)
	s.f.settle(s.o)
	<-s.gaveUp
	require.Equal(t, []Refusal{{"slow", "it did not open within 30s"}}, s.f.Status().Refused)
	require.Equal(t, "v1", s.f.Live().Champion.Version)
	s.f.settle(s.o)
	require.Empty(t, s.o.inProgress(), "not tried again and again")
}

// While the newest route waits, an older one is opened only where that one is refused.
func TestFollower_OpensNoOlderRouteWhileTheNewestOpens(t *testing.T) {
	t.Parallel()
	s := newSlowOpener(t)
	s.f.history.routes = []Revision{{Route: schemas.Route{Champion: "v1", Policy: policy.DefaultText}}}
	s.route(schemas.Route{Champion: "slow"})
	require.Equal(t, []string{"slow"}, s.o.inProgress())
	s.clock = s.clock.Add(openTime)
	s.settled("v1")
}

func TestOpener_OfACommandGivesUpToo(t *testing.T) {
	t.Parallel()
	o := newOpener(model.EngineAuto, func(string) ([]byte, bool) { return nil, true })
	o.limit = 0
	o.parse = func(ctx context.Context, _ []byte, _ string) (*model.Model, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := o.open("slow")
	var refused *refusedError
	require.ErrorAs(t, err, &refused)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}
