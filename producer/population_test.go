package producer

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// edited is the shipped population's file with a change.
func edited(t *testing.T, change func(j *populationJSON)) []byte {
	t.Helper()
	var j populationJSON
	require.NoError(t, json.Unmarshal(shippedPopulation, &j))
	change(&j)
	text, err := json.Marshal(j)
	require.NoError(t, err)
	return text
}

func TestAWrongPopulationIsRefusedWithPartAndValue(t *testing.T) {
	t.Parallel()
	f := func(want string, change func(j *populationJSON)) {
		t.Helper()
		_, err := ParsePopulation(edited(t, change))
		require.ErrorContains(t, err, "population: ")
		require.ErrorContains(t, err, want)
	}
	_, err := ParsePopulation(edited(t, func(*populationJSON) {}))
	require.NoError(t, err, "unchanged")
	f("22 marginals: must be 23", func(j *populationJSON) { j.Marginals = j.Marginals[1:] })
	f(`marginal 4 is "years": must be "age"`, func(j *populationJSON) { j.Marginals[age].Name = "years" })
	f("sex: value 3: must be 1 … 2", func(j *populationJSON) { j.Marginals[1].Values[1] = 3 })
	f("sex: value 1 follows 1: must ascend", func(j *populationJSON) { j.Marginals[1].Values[1] = 1 })
	f("sex: 1 cumulative shares: must be as many as values, 2", func(j *populationJSON) { j.Marginals[1].Cumulative = j.Marginals[1].Cumulative[:1] })
	f("sex: cumulative share 0.5 is the last: must be 1", func(j *populationJSON) { j.Marginals[1].Cumulative = []float64{0.4, 0.5} })
	f("sex: cumulative share 0.4 follows 0.9", func(j *populationJSON) { j.Marginals[1].Cumulative = []float64{0.9, 0.4} })
	f("limit_bal: must have values or at least two quantiles", func(j *populationJSON) { j.Marginals[limitBal].Quantiles = j.Marginals[limitBal].Quantiles[:1] })
	f("limit_bal: value 0: must be 1", func(j *populationJSON) { j.Marginals[limitBal].Quantiles[0] = 0 })
	f("pay_amt1: must have values", func(j *populationJSON) { j.Marginals[payAmt].Quantiles = nil })
	f("cholesky has 22 rows: must be 23", func(j *populationJSON) { j.Cholesky = j.Cholesky[:22] })
	f("cholesky row 2 has 2 numbers: must be 3", func(j *populationJSON) { j.Cholesky[2] = j.Cholesky[2][:2] })
	f("cholesky row 0: the sum of squares is 4.0000: must be 1", func(j *populationJSON) { j.Cholesky[0][0] = 2 })
	f(`default rule: "wealth": must be one of delay_0, `, func(j *populationJSON) { j.Rule.Coefficients["wealth"] = 1 })
	_, err = ParsePopulation([]byte("{"))
	require.ErrorContains(t, err, "population: unexpected end of JSON input")
}

func TestTheDistributionFunctionIsRight(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	for z := -7.0; z <= 7; z += 0.001 {
		require.InDelta(t, math.Erfc(-z/math.Sqrt2)/2, p.cdf(z), 3e-7, "at %v", z)
	}
	require.Zero(t, p.cdf(math.NaN())-p.phi[0])
}

// Whatever passes for a population draws applications that keep the contract.
func FuzzPopulation(f *testing.F) {
	f.Add(shippedPopulation)
	f.Add(bytes.ReplaceAll(shippedPopulation, []byte(`"intercept":-`), []byte(`"intercept":1e300,"x":-`)))
	f.Add([]byte(strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePopulation(text)
		if err != nil {
			return
		}
		g := newGenerator(p, 1, "A-")
		var decoded schemas.Application
		for n := range uint64(20) {
			a := schemas.Application{ApplicationID: string(g.appendID(nil, n))}
			g.draw(n, weather{newcomers: 0.5, delays: 1}, &a.Features)
			if err := schemas.DecodeApplication(schemas.AppendApplication(nil, &a), &decoded); err != nil || decoded != a {
				t.Fatalf("application %d: %v: %+v", n, err, a)
			}
		}
	})
}
