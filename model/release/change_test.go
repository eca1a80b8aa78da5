package release

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// inForce is a route in which every role is taken.
func inForce() *schemas.Route {
	shadow := "s"
	return &schemas.Route{
		Champion: "a", Canary: &schemas.Canary{ModelVersion: "c", Share: 0.3}, Shadow: &shadow, Policy: otherPolicy,
		By: "ann", At: 7, Why: "before",
	}
}

// text is what a route serves, in one line.
func text(r schemas.Route) string {
	name := "other"
	if r.Policy == policy.DefaultText {
		name = "default"
	}
	return strings.Join([]string{r.Champion, CanaryText(r.Canary), shadowText(r.Shadow), name}, " ")
}

func TestChange_KeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change Change
		want   string
	}{
		{Change{Champion: "n"}, "n c=30% s other"},
		{Change{Canary: "n", CanaryShare: 1234}, "a n=12.34% s other"},
		{Change{Canary: "c", CanaryShare: 5000}, "a c=50% s other"},
		{Change{Shadow: "n"}, "a c=30% n other"},
		{Change{Policy: policy.DefaultText}, "a c=30% s default"},
		{Change{NoCanary: true}, "a  s other"},
		{Change{NoShadow: true}, "a c=30%  other"},
		{Change{Champion: "n", NoCanary: true, NoShadow: true, Policy: policy.DefaultText}, "n   default"},
		// Who takes another role leaves the one it had.
		{Change{Champion: "c"}, "c  s other"},
		{Change{Champion: "s"}, "s c=30%  other"},
		{Change{Canary: "s", CanaryShare: 1000}, "a s=10%  other"},
		{Change{Shadow: "c"}, "a  c other"},
		{Change{Champion: "c", Canary: "a", CanaryShare: 1000}, "c a=10% s other"},
		{Change{Champion: "c", Canary: "s", CanaryShare: 1000, Shadow: "a"}, "c s=10% a other"},
	} {
		now := inForce()
		got, err := c.change.apply(now)
		require.NoError(t, err, "%+v", c.change)
		require.Equal(t, c.want, text(got), "%+v", c.change)
		require.Empty(t, got.By+got.Why, "who acted before does not sign")
		require.Equal(t, inForce(), now, "the route in force is not touched")
	}
}

func TestChange_NamesTheFirstRouteWhole(t *testing.T) {
	t.Parallel()
	got, err := Change{Champion: "a"}.apply(nil)
	require.NoError(t, err)
	require.Equal(t, "a   default", text(got))
	_, err = Change{Canary: "c", CanaryShare: 1}.apply(nil)
	require.ErrorContains(t, err, "--champion")
}

func TestChange_RefusesContradictions(t *testing.T) {
	t.Parallel()
	for _, c := range []Change{
		{},
		{Canary: "n", CanaryShare: 1, NoCanary: true},
		{Shadow: "n", NoShadow: true},
		{Canary: "n"},
		{Canary: "n", CanaryShare: model.ShareScale + 1},
		{Canary: "n", CanaryShare: 1, Shadow: "n"},
		{Canary: "a", CanaryShare: 1},
		{Shadow: "a"},
		{Champion: "n", Canary: "n", CanaryShare: 1},
		{Champion: "n", Shadow: "n"},
	} {
		_, err := c.apply(inForce())
		require.Error(t, err, "%+v", c)
	}
}

func TestDifferences_SayWhatARouteChanges(t *testing.T) {
	t.Parallel()
	said := func(c Change) []string {
		next, err := c.apply(inForce())
		require.NoError(t, err)
		var out []string
		for _, d := range Differences(inForce(), next) {
			out = append(out, d.String())
		}
		return out
	}
	before, err := policy.Parse(otherPolicy)
	require.NoError(t, err)
	standard, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	require.Equal(t, []string{"champion a → n"}, said(Change{Champion: "n"}))
	require.Equal(t, []string{"champion a → c", "canary c=30% ends"}, said(Change{Champion: "c"}))
	require.Equal(t, []string{"canary c=30% → c=50%"}, said(Change{Canary: "c", CanaryShare: 5000}))
	require.Equal(t, []string{"canary c=30% → s=1%", "shadow s ends"}, said(Change{Canary: "s", CanaryShare: 100}))
	policy := said(Change{Policy: policy.DefaultText})
	require.Len(t, policy, 1)
	require.True(t, strings.HasPrefix(policy[0], "policy "+before.Version+" → "+standard.Version+" ("), policy[0])
	require.Empty(t, Differences(inForce(), *inForce()))

	first, err := Change{Champion: "a", Canary: "c", CanaryShare: 1}.apply(nil)
	require.NoError(t, err)
	out := Differences(nil, first)
	require.Equal(t, "champion a begins", out[0].String())
	require.Equal(t, "canary c=0.01% begins", out[1].String())
	require.Equal(t, "policy "+standard.Version+" begins", out[2].String())
}

func TestRouteCommand_NamesItsDeployment(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]kafka.Config{
		"":                                {Brokers: []string{kafka.DefaultBroker}, Prefix: kafka.DefaultPrefix},
		" --prefix prod":                  {Brokers: []string{kafka.DefaultBroker}, Prefix: "prod"},
		" --brokers a:1,b:2":              {Brokers: []string{"a:1", "b:2"}, Prefix: kafka.DefaultPrefix},
		" --brokers a:1 --prefix staging": {Brokers: []string{"a:1"}, Prefix: "staging"},
	} {
		require.Equal(t, want, c.Flags())
		r := Revision{Number: 2, flags: c.Flags()}
		require.Equal(t, `creditstream model rollback --expect 2 --why "x"`+want, r.RollbackCommand("x"))
		first := Released{Model: &model.Model{Version: "v1"}, flags: c.Flags()}
		require.Equal(t, `creditstream model route --champion v1 --why "x"`+want, first.RouteCommand("x"))
	}
}

func TestRouteCommand_IsWhatAShellTakes(t *testing.T) {
	t.Parallel()
	r := Revision{Number: 7, Route: schemas.Route{Champion: "v1", Policy: policy.DefaultText}}
	require.Equal(t, `creditstream model route --champion v1 --canary v2=12.34% --shadow v3 --expect 7 --why "the champion's errors"`,
		r.RouteCommand(Change{Champion: "v1", Canary: "v2", CanaryShare: 1234, Shadow: "v3"}, "the champion's errors"))
	require.Equal(t, `creditstream model route --no-canary --no-shadow --expect 7 --why "x"`, r.RouteCommand(Change{NoCanary: true, NoShadow: true}, "x"))
	require.Equal(t, `creditstream model rollback --expect 7 --why 'it'\''s $HOME'`, r.RollbackCommand("it's $HOME"))
	require.Equal(t, `creditstream model route --champion "v1; rm x" --expect 7 --why "x"`, r.RouteCommand(Change{Champion: "v1; rm x"}, "x"))
	for share, want := range map[float64]string{0.0001: "0.01", 0.1: "10", 0.3333: "33.33", 1: "100", 0.07: "7", 0.29: "29"} {
		require.Equal(t, want, percent(share))
	}
}

// A retry after a write whose answer was lost finds its route there; what somebody
// else wrote in between is no retry.
func TestRoute_SentAgainIsThereAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	for _, v := range []string{"v1", "v2", "v3"} {
		w.release(v)
	}
	request := RouteRequest{Change: Change{Champion: "v1"}, By: "ann", At: 1, Why: "first", Engine: model.EngineAuto}
	written := func() *Written {
		t.Helper()
		r, err := Route(t.Context(), w.config, w.topics, request)
		require.NoError(t, err)
		return r
	}
	first := written()
	require.False(t, first.Existed)
	require.Len(t, first.Changes, 2)
	again := written()
	require.True(t, again.Existed)
	require.Equal(t, first.Number, again.Number)
	require.Equal(t, first.Changes, again.Changes)

	request.Change, request.Expect = Change{Canary: "v2", CanaryShare: 1000}, &first.Number
	second := written()
	require.False(t, second.Existed)
	require.True(t, written().Existed)

	// The revision that is current, and nothing to change of it.
	request.Expect = &second.Number
	same := written()
	require.True(t, same.Existed)
	require.Equal(t, second.Number, same.Number)
	require.Empty(t, same.Changes)

	// Another route with the same predecessor is another's.
	request.Change, request.Expect = Change{Canary: "v2", CanaryShare: 1001}, &first.Number
	_, err := Route(t.Context(), w.config, w.topics, request)
	require.ErrorContains(t, err, "the current revision is")
	// So is the same one, two revisions ago.
	third := w.route(second.Number, func(r *RouteRequest) { r.Champion = "v3" })
	request.Change = Change{Champion: "v3"}
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.ErrorContains(t, err, "the current revision is")

	back := RollbackRequest{Expect: &third, By: "ann", At: 2, Why: "worse", Engine: model.EngineAuto}
	did, err := Rollback(t.Context(), w.config, w.topics, back)
	require.NoError(t, err)
	require.False(t, did.Written.Existed)
	require.Equal(t, second.Number, did.To.Number)
	repeated, err := Rollback(t.Context(), w.config, w.topics, back)
	require.NoError(t, err)
	require.True(t, repeated.Written.Existed)
	require.Equal(t, did.Written.Number, repeated.Written.Number)
	require.Equal(t, did.To.Number, repeated.To.Number)
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	require.Len(t, h.Revisions(), 4)
}

func TestRoute_SaysWhatChangesBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	first := w.champion(-1, "v1")
	request := RouteRequest{Change: Change{Champion: "v2"}, Expect: &first, Engine: model.EngineAuto}
	request.Before = func(changes []Difference) error {
		h, err := ReadAll(t.Context(), w.config, w.topics)
		require.NoError(t, err)
		require.Equal(t, first, h.Current().Number, "nothing is written yet")
		require.Equal(t, []Difference{{What: "champion", From: "v1", To: "v2"}}, changes)
		return nil
	}
	r, err := Route(t.Context(), w.config, w.topics, request)
	require.NoError(t, err)
	require.Greater(t, r.Number, first)
}

func TestRoute_NamesHowToDropWhatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	w.release("v2")
	w.champion(-1, "v1")
	w.putRoute(schemas.Route{Champion: "v1", Canary: &schemas.Canary{ModelVersion: "gone", Share: 0.1}, Policy: otherPolicy})
	h, err := ReadAll(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	current := h.Current().Number
	request := RouteRequest{Change: Change{Champion: "v2"}, Expect: &current, Engine: model.EngineAuto}
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.ErrorContains(t, err, "it is the canary, which stays unless --no-canary ends it")
	unknown := request
	unknown.Change = Change{Champion: "nosuch", NoCanary: true}
	_, err = Route(t.Context(), w.config, w.topics, unknown)
	require.ErrorContains(t, err, "nosuch")
	require.NotContains(t, err.Error(), "stays", "what was named is at fault")
	request.NoCanary = true
	_, err = Route(t.Context(), w.config, w.topics, request)
	require.NoError(t, err)
}
