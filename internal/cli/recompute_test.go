package cli

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

func TestAPredictionIsComputedAgainFromWhatItCarries(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	app := schemas.Application{ApplicationID: "A-1", AppliedAt: 5}
	for k, rule := range schemas.FeatureRules {
		app.Features[k] = max(rule.Min, 2)
	}
	app.Features[6] = schemas.Missing
	out := make([]schemas.Prediction, 1)
	require.NoError(t, scorer.New().Decide(set, schemas.ChannelAPI, 7, []schemas.Application{app}, out))
	require.NotEmpty(t, out[0].Reasons)

	reads := 0
	read := func() (*release.History, error) {
		reads++
		return &release.History{}, nil
	}
	r := &recomputer{unrouted: [][]byte{shipped.Bundle}, read: read, newest: -1, scorer: scorer.New()}
	require.NoError(t, r.load())
	again, err := r.recompute(&out[0])
	require.NoError(t, err)
	require.Equal(t, out[0], again)

	unknown := func(change func(p *schemas.Prediction)) {
		p := out[0]
		change(&p)
		_, err := r.recompute(&p)
		var lacking *verify.UnreproducibleError
		require.ErrorAs(t, err, &lacking)
		require.NotEmpty(t, lacking.Why)
	}
	unknown(func(p *schemas.Prediction) { p.ModelVersion = "another" })
	unknown(func(p *schemas.Prediction) { p.PolicyVersion = "00000000" })
	unknown(func(p *schemas.Prediction) { p.RouteRevision = 3 })
	unknown(func(p *schemas.Prediction) { p.Engine = "abacus" })

	unknown(func(p *schemas.Prediction) { p.RouteRevision = 3 })
	require.Equal(t, 2, reads, "once at first, once for a route that came after")

	p := out[0]
	p.Route = schemas.RouteCanary // one model decides alike in either role
	again, err = r.recompute(&p)
	require.NoError(t, err)
	require.Equal(t, p, again)

	r.unrouted = [][]byte{[]byte("no bundle")}
	require.ErrorContains(t, r.load(), "served without a route")
}

// Two engines differ by less than the tolerance; a cut-off between them flips the
// decision, and the record is right all the same.
func TestRecompute_AppliesThePolicyToTheRecordedProbability(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	app := schemas.Application{ApplicationID: "A-1", AppliedAt: 5}
	for k, rule := range schemas.FeatureRules {
		app.Features[k] = max(rule.Min, 2)
	}
	out := make([]schemas.Prediction, 1)
	require.NoError(t, scorer.New().Decide(set, schemas.ChannelAPI, 7, []schemas.Application{app}, out))
	here := out[0].DefaultProbability
	there := math.Nextafter32(here, 1)
	text := strings.NewReplacer("0.20", fmt.Sprint(there), "0.45", "1").Replace(policy.DefaultText)
	rules, err := policy.Parse(text)
	require.NoError(t, err)
	manifest, _, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	r := &recomputer{newest: 7, scorer: scorer.New(), sets: map[served]*model.LiveSet{
		{manifest.Version, 7, rules.Version, model.EngineNative}: {Champion: set.Champion, Policy: rules, Revision: 7},
	}}
	for probability, decision := range map[float32]string{here: schemas.Approve, there: schemas.Refer} {
		p := out[0]
		p.RouteRevision, p.PolicyVersion, p.DefaultProbability = 7, rules.Version, probability
		again, err := r.recompute(&p)
		require.NoError(t, err)
		require.Equal(t, decision, again.Decision)
	}
	far := out[0]
	far.RouteRevision, far.PolicyVersion, far.DefaultProbability = 7, rules.Version, there+0.01
	again, err := r.recompute(&far)
	require.NoError(t, err)
	require.Equal(t, schemas.Approve, again.Decision, "of its own probability: the record differs in both")
}

func TestRecompute_SaysWhatIsMissing(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	r := &recomputer{unrouted: [][]byte{shipped.Bundle}, newest: -1, scorer: scorer.New(), read: func() (*release.History, error) { return &release.History{}, nil }}
	require.NoError(t, r.load())
	p := schemas.Prediction{ModelVersion: set.Champion.Version, RouteRevision: -1, PolicyVersion: set.Policy.Version, Engine: model.EngineONNX}
	if _, err := r.archive.Set(p.ModelVersion, -1, p.PolicyVersion, model.EngineONNX); err != nil { // where the library is not installed
		_, err := r.recompute(&p)
		require.ErrorContains(t, err, "the onnx engine decided, and only that is missing: ")
		require.ErrorContains(t, err, "ONNX Runtime")
	}
	p.Engine, p.RouteRevision = model.EngineNative, 9
	_, err = r.recompute(&p)
	require.ErrorContains(t, err, "there is no route revision 9")
}
