package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

func TestAPredictionIsComputedAgainFromWhatItCarries(t *testing.T) {
	set, err := release.Fixed(shipped.Bundle, model.EngineNative, schemas.DefaultPolicyText)
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
		require.ErrorIs(t, err, verify.ErrUnreproducible)
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
