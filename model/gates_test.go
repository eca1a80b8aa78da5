package model

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
)

func TestGatesAreReadAsTrainingRecordsThem(t *testing.T) {
	const (
		pass   = `{"name": "golden rows", "passed": true, "figure": 1e-9, "limit": 1e-6, "told": "100 rows replay"}`
		auc    = `{"name": "AUC", "passed": false, "figure": 0.61, "limit": 0.75, "told": "no champion; 0.6100 is held to the floor of 0.75"}`
		engine = `{"name": "native engine", "passed": false, "figure": null, "limit": 1e-6, "told": "no binary"}`
		silent = `{"name": "data"}`
	)
	// all are the verdicts of every gate, those named as they are given.
	all := func(given ...string) string {
		var out []string
		for _, name := range gateNames {
			gate := `{"name": "` + name + `", "passed": true, "figure": null, "limit": 0.25, "told": "there is no champion yet"}`
			if i := slices.IndexFunc(given, func(g string) bool { return strings.Contains(g, `"`+name+`"`) }); i >= 0 {
				gate = given[i]
			}
			out = append(out, gate)
		}
		return `{"gates": [` + strings.Join(out, ",") + `]}`
	}
	for _, c := range []struct {
		metrics, forced, verdict string
		failed                   []string
	}{
		{``, ``, GatesNone, nil},
		{`null`, `null`, GatesNone, nil},
		{`{"test": {"auc": 0.8}}`, `null`, GatesNone, nil},
		{`{"gates": []}`, `{"why": "nothing to overrule", "gates": []}`, GatesNone, nil},
		{all(pass), `null`, GatesPassed, nil},
		{all(pass), ``, GatesPassed, nil},
		{all(auc), `null`, GatesFailed, []string{"AUC"}},
		{all(auc), `{"why": "a sandbox", "gates": ["AUC"]}`, GatesForced, []string{"AUC"}},
		{all(auc, engine), `{"why": "a sandbox", "gates": ["AUC"]}`, GatesFailed, []string{"native engine", "AUC"}},
		{all(auc, engine), `{"why": "a sandbox", "gates": ["AUC", "native engine"]}`, GatesForced, []string{"native engine", "AUC"}},
		{`{"gates": [` + pass + `]}`, `null`, GatesPart, nil},
		{`{"gates": [` + pass + `]}`, `{"why": "the rest is boring", "gates": ["data", "AUC"]}`, GatesPart, nil},
		{`{"gates": [` + pass + `,` + auc + `]}`, `null`, GatesFailed, []string{"AUC"}},
		{`{"gates": [` + silent + `]}`, `null`, GatesFailed, []string{"data"}},
		{`{"gates": [` + auc + `]}`, `{"why": "a sandbox", "gates": ["AUC"]}`, GatesPart, []string{"AUC"}},
		{`{"gates": [` + auc + `]}`, `{"why": " ", "gates": ["AUC"]}`, GatesFailed, []string{"AUC"}},
		{`{"gates": [` + auc + `]}`, `{"why": "a sandbox"}`, GatesFailed, []string{"AUC"}},
	} {
		m := Manifest{Metrics: json.RawMessage(c.metrics), Forced: json.RawMessage(c.forced)}
		g, err := m.Gates()
		require.NoError(t, err, c)
		require.Equal(t, c.verdict, g.Verdict, c)
		var failed []string
		for _, one := range g.Failed {
			failed = append(failed, one.Name)
		}
		require.Equal(t, c.failed, failed, c)
		require.Equal(t, c.verdict == GatesForced, g.Why != "", c)
	}
	for _, c := range []struct{ metrics, forced, says string }{
		{`{"gates": "passed"}`, `null`, "metrics.gates"},
		{`{"gates": [{"name": "AUC", "passed": "yes"}]}`, `null`, "metrics.gates"},
		{`{"gates": [` + auc + `]}`, `"because"`, "forced"},
	} {
		m := Manifest{Metrics: json.RawMessage(c.metrics), Forced: json.RawMessage(c.forced)}
		_, err := m.Gates()
		require.ErrorContains(t, err, c.says)
	}
}

func TestEveryGateMustBeThere(t *testing.T) {
	for i, cut := range gateNames {
		var rest []Gate
		for _, name := range gateNames {
			if name != cut {
				rest = append(rest, Gate{Name: name, Passed: true})
			}
		}
		metrics, err := json.Marshal(map[string]any{"gates": append(rest, Gate{Name: "a newer gate", Passed: true})})
		require.NoError(t, err)
		m := Manifest{Metrics: metrics}
		g, err := m.Gates()
		require.NoError(t, err)
		require.Equal(t, GatesPart, g.Verdict, cut)
		require.Equal(t, gateNames[i:i+1], g.Missing)
		require.Len(t, g.All, len(gateNames))
	}
}

func TestAGateSaysItsFigureAndLimit(t *testing.T) {
	figure := 0.61
	require.Equal(t, "AUC: figure 0.61, limit 0.75 (below the floor)", Gate{Name: "AUC", Figure: &figure, Limit: 0.75, Told: "below the floor"}.String())
	require.Equal(t, "native engine: figure none, limit 1e-06 (no binary)", Gate{Name: "native engine", Limit: 1e-6, Told: "no binary"}.String())
}

func TestTheShippedBundleCarriesNoVerdicts(t *testing.T) {
	m, _, err := ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	g, err := m.Gates()
	require.NoError(t, err)
	require.Equal(t, Gates{Verdict: GatesNone}, g, "it goes through the gates where it is built")
}
