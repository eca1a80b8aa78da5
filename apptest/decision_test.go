package apptest

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// decision is what a prediction says of how it was made.
type decision struct {
	place         // where it stands
	source  place // the application that it answers; none of POST /predict
	id      string
	channel string
	at      time.Time
	made
}

// made is the part of a prediction that says what it came to, and by what.
type made struct {
	probability
	Version  string `json:"model_version"`
	Route    string `json:"route"`
	Revision int64  `json:"route_revision"`
	Policy   string `json:"policy_version"`
	Shadow   *struct {
		probability
		Version string `json:"model_version"`
	} `json:"shadow"`
}

type probability struct {
	Probability float64 `json:"default_probability"`
}

// logOdds are the margin that a probability came from.
func (p probability) logOdds() float64 { return math.Log(p.Probability / (1 - p.Probability)) }

// turnout counts the decisions of one revision.
type turnout struct {
	stream map[int32]int // by the application's partition
	api    int
}

// note keeps a decision; the caller holds mu.
func (w *witness) note(d decision) {
	w.decisions = append(w.decisions, d)
	n := w.turnouts[d.Revision]
	if d.channel == "api" {
		n.api++
	} else {
		if n.stream == nil {
			n.stream = map[int32]int{}
		}
		n.stream[d.source.partition]++
	}
	w.turnouts[d.Revision] = n
}

// under counts the decisions under a revision so far.
func (w *witness) under(revision int64) turnout {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.turnouts[revision]
	n.stream = maps.Clone(n.stream)
	return n
}

// made are all decisions so far; those that stand in one partition are in its
// order.
func (w *witness) made() []decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.decisions)
}

// asRouted holds every decision to the revision that it names: who makes it is
// the route's and the id's to say, and nobody else's.
func (g *stage) asRouted(decisions []decision) {
	t := g.t
	revisions := map[int64]revision{}
	for _, r := range g.history() {
		revisions[r.Revision] = r
	}
	for _, d := range decisions {
		r, ok := revisions[d.Revision]
		require.True(t, ok, "%s names revision %d", d.id, d.Revision)
		require.Equal(t, r.PolicyVersion, d.Policy, d.id)
		version, route := r.Champion, "champion"
		if r.isCanary(d.id) {
			version, route = r.Canary.Version, "canary"
		}
		require.Equal(t, version, d.Version, "%s under revision %d", d.id, d.Revision)
		require.Equal(t, route, d.Route, "%s under revision %d", d.id, d.Revision)
		require.Equal(t, r.Shadow != nil, d.Shadow != nil, "%s under revision %d has a shadow", d.id, d.Revision)
		if r.Shadow != nil {
			require.Equal(t, *r.Shadow, d.Shadow.Version, d.id)
		}
	}
}

// isCanary is the contract's rule.
func (r revision) isCanary(id string) bool {
	return r.Canary != nil && xxhash.Sum64String(r.Canary.Version+"\x00"+id)%10_000 < uint64(math.Round(r.Canary.Share*10_000))
}

// inTurn holds that in every partition one application after another was decided,
// none set aside, and that a revision once left does not come back. It is so where
// no partition changes its owner while routes change.
func inTurn(t *testing.T, decisions []decision) {
	last := map[int32]decision{}
	for _, d := range decisions {
		if d.channel == "api" {
			continue
		}
		before, ok := last[d.source.partition]
		last[d.source.partition] = d
		if !ok {
			require.Zero(t, d.source.offset, "the first of %d", d.source.partition)
			continue
		}
		require.Equal(t, before.partition, d.partition, "an id's application and prediction have one partition")
		require.Equal(t, before.source.offset+1, d.source.offset, "in %d", d.source.partition)
		require.GreaterOrEqual(t, d.Revision, before.Revision, "application %d/%d", d.source.partition, d.source.offset)
		require.False(t, d.at.Before(before.at))
		if d.at.Equal(before.at) {
			require.Equal(t, before.Revision, d.Revision, "a transaction has one revision")
		}
	}
}

// withinChance holds a count of n to its share: five standard deviations are
// passed once in 1.7 million times.
func withinChance(t *testing.T, share float64, count, n int) {
	expected, deviation := share*float64(n), math.Sqrt(share*(1-share)*float64(n))
	require.InDelta(t, expected, count, 5*deviation, "%d of %d", count, n)
}

// leansBy holds two probabilities of one application to what one model leans
// against the other. Ten in a million is what float32 leaves of a probability
// that is neither very small nor very large.
func leansBy(t *testing.T, by float64, of, against probability, id string) {
	require.InDelta(t, by, of.logOdds()-against.logOdds(), 1e-3, id)
}
