package recompute

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// unrouted is a past in which the shipped bundle served without a route.
func unrouted(t *testing.T) *release.Archive {
	past, err := release.NewArchive(&release.History{}, shipped.Bundle)
	require.NoError(t, err)
	return past
}

func TestRecompute_DecidesAgainFromWhatAPredictionCarries(t *testing.T) {
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
	r, err := New(func() (Past, int64, error) {
		reads++
		return unrouted(t), -1, nil
	})
	require.NoError(t, err)
	again, err := r.Decide(&out[0])
	require.NoError(t, err)
	require.Equal(t, out[0], again)

	unknown := func(change func(p *schemas.Prediction)) {
		p := out[0]
		change(&p)
		_, err := r.Decide(&p)
		var lacking *MissingError
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
	again, err = r.Decide(&p)
	require.NoError(t, err)
	require.Equal(t, p, again)
}

// routed is a past of one live set.
type routed struct{ set *model.LiveSet }

func (r routed) Set(string, int64, string, string) (*model.LiveSet, error) { return r.set, nil }

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
	r, err := New(func() (Past, int64, error) {
		return routed{&model.LiveSet{Champion: set.Champion, Policy: rules, Revision: 7}}, 7, nil
	})
	require.NoError(t, err)
	for probability, decision := range map[float32]string{here: schemas.Approve, there: schemas.Refer} {
		p := out[0]
		p.RouteRevision, p.PolicyVersion, p.DefaultProbability = 7, rules.Version, probability
		again, err := r.Decide(&p)
		require.NoError(t, err)
		require.Equal(t, decision, again.Decision)
	}
	far := out[0]
	far.RouteRevision, far.PolicyVersion, far.DefaultProbability = 7, rules.Version, there+0.01
	again, err := r.Decide(&far)
	require.NoError(t, err)
	require.Equal(t, schemas.Approve, again.Decision, "of its own probability: the record differs in both")
}

// withoutONNX is a past in a build where ONNX Runtime is not installed.
type withoutONNX struct{ Past }

func (w withoutONNX) Set(version string, revision int64, policyVersion, engine string) (*model.LiveSet, error) {
	if engine == model.EngineONNX {
		return nil, errors.New("ONNX Runtime is not here")
	}
	return w.Past.Set(version, revision, policyVersion, engine)
}

func TestRecompute_SaysWhatIsMissing(t *testing.T) {
	set, err := model.Fixed(shipped.Bundle, model.EngineNative, policy.DefaultText)
	require.NoError(t, err)
	past := withoutONNX{unrouted(t)}
	r, err := New(func() (Past, int64, error) { return past, -1, nil })
	require.NoError(t, err)
	p := schemas.Prediction{ModelVersion: set.Champion.Version, RouteRevision: -1, PolicyVersion: set.Policy.Version, Engine: model.EngineONNX}
	_, err = r.Decide(&p)
	require.EqualError(t, err, "the decision cannot be made again: the onnx engine decided, and only that is missing: ONNX Runtime is not here")
	p.ModelVersion = "v0"
	_, err = r.Decide(&p)
	require.ErrorContains(t, err, "the decision cannot be made again: ONNX Runtime is not here", "the model is missing as well")
	p.ModelVersion = set.Champion.Version
	p.Engine, p.RouteRevision = model.EngineNative, 9
	_, err = r.Decide(&p)
	require.ErrorContains(t, err, "there is no route revision 9")
}

func TestRecompute_EndsWhereThePastCannotBeRead(t *testing.T) {
	failed := errors.New("no broker answers")
	read := func() (Past, int64, error) { return unrouted(t), -1, nil }
	_, err := New(func() (Past, int64, error) { return nil, 0, failed })
	require.ErrorIs(t, err, failed)
	r, err := New(func() (Past, int64, error) { return read() })
	require.NoError(t, err)
	read = func() (Past, int64, error) { return nil, 0, failed }
	_, err = r.Decide(&schemas.Prediction{RouteRevision: 3})
	require.ErrorIs(t, err, failed, "a route that came after is looked for")
}
