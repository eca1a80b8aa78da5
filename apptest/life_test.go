package apptest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lives takes a model through its life while two scorers and an API decide:
// shadow, canary, champion, and back. Nobody is restarted, nothing waits. Along the
// way it is judged, and afterwards its decisions are made again.
func (g *stage) lives(rate int) {
	t := g.t
	one, two := g.routed("one"), g.routed("two")
	api, listen := g.answering()
	until(t, time.Minute, "they wait for a route", func() bool {
		return saysWhy(one.listen, "no route yet") && saysWhy(two.listen, "no route yet") && saysWhy(api.listen, "no route yet")
	})
	old := g.release(shippedBundle)
	first := g.route(-1, "--champion", old)
	for _, a := range []*app{one, two, api} {
		a.ready()
	}
	until(t, time.Minute, "the group is whole", func() bool { return len(g.owned()) == 4 })

	stop := g.steady(rate)
	asker := newAsker(listen, g.prefix)
	asking, stopAsking := context.WithCancel(t.Context())
	var background sync.WaitGroup
	t.Cleanup(func() { stopAsking(); background.Wait() })
	background.Go(func() { asker.ask(asking) })
	decides := func(revision int64, n int) {
		g.decidesUnder(revision, n)
		until(t, time.Minute, "the API decides under it", func() bool { return g.witness.under(revision).api >= 20 })
	}
	decides(first, 250)
	file, flags := candidateFile(t)
	candidate, gates := g.releaseAs(file, flags...)
	if len(flags) == 0 {
		require.Equal(t, "passed", gates, "%s is released on its own merit", candidate)
	}
	shadow := g.route(first, "--champion", old, "--shadow", candidate)
	decides(shadow, 250)
	asShadow := g.judges("shadow")
	canary := g.route(shadow, "--champion", old, "--canary", candidate+"=10%")
	decides(canary, 750)
	asCanary := g.judges("canary")
	champion := g.route(canary, "--champion", candidate)
	decides(champion, 250)
	var back revision
	run(t, g.routing("rollback", champion)...).answer(&back)
	require.Equal(t, revision{Revision: back.Revision, Champion: old, PolicyVersion: back.PolicyVersion, Policy: back.Policy, Why: "a test"}, back)
	decides(back.Revision, 250)
	stopAsking()
	background.Wait()
	stop()

	require.Equal(t, asker.asked(), asker.count(), "every request is answered")
	until(t, time.Minute, "the witness has read them", func() bool { return g.witness.requested() == asker.count() })
	g.exact()
	decisions := g.witness.made()
	require.Len(t, decisions, g.emitted+asker.count())
	g.asRouted(decisions)
	inTurn(t, decisions)
	g.askedInTurn(asker)

	// What serves is what its name says.
	g.asScored(map[string]string{old: shippedBundle, candidate: file})
	g.lookedAt(old, candidate)
	inForce := []int64{first, shadow, canary, champion, back.Revision}
	canaries := map[bool]int{}
	for _, d := range decisions {
		require.Contains(t, inForce, d.Revision)
		if d.Revision == canary {
			canaries[d.Route == "canary"]++
		}
	}
	withinChance(t, 0.1, canaries[true], canaries[true]+canaries[false])
	t.Logf("model %s (gates: %s): %d applications and %d requests under 5 revisions; %d of %d by the canary; judged as shadow: %s, as canary: %s",
		candidate, gates, g.emitted, asker.count(), canaries[true], canaries[true]+canaries[false], asShadow, asCanary)
	for _, a := range []*app{one, two, api} {
		a.terminate()
	}
}

// askedInTurn holds that the API, asked one thing after another, never went back
// to a revision that it had left.
func (g *stage) askedInTurn(a *asker) {
	var asked []decision
	for _, d := range g.witness.made() {
		if d.channel == "api" {
			asked = append(asked, d)
		}
	}
	slices.SortFunc(asked, func(a, b decision) int { return a.at.Compare(b.at) })
	require.Len(g.t, asked, a.count())
	for i := 1; i < len(asked); i++ {
		require.GreaterOrEqual(g.t, asked[i].Revision, asked[i-1].Revision, asked[i].id)
	}
}

// saysWhy says whether a service is not ready for a reason.
func saysWhy(listen, reason string) bool {
	status, text := shownBy(listen, "/readyz")
	return status == http.StatusServiceUnavailable && strings.Contains(text, reason)
}

func TestAModelsLife(t *testing.T) {
	long(t)
	t.Parallel()
	newStage(t, embedded(t)).lives(1000)
}
