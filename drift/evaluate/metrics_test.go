package evaluate

import (
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// numbered gives every figure of a record another value and says which has which. What
// is no statistic is left alone: settings, and where a band of scores lies.
func numbered(values map[float64]string, records ...any) {
	settings := map[string]bool{"FeatureStatus.Threshold": true, "RateStatus.Threshold": true, "GroupStatus.Limit": true, "BandStatus.From": true, "BandStatus.To": true, "WindowStatus.From": true, "WindowStatus.To": true}
	for _, record := range records {
		v := reflect.ValueOf(record).Elem()
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			next := float64(1000 + len(values))
			switch f := v.Field(i); {
			case settings[name]:
				continue
			case f.CanFloat():
				f.SetFloat(next)
			case f.CanInt():
				f.SetInt(int64(next))
			default:
				continue
			}
			values[next] = name
		}
	}
}

// A statistic that somebody adds to the status and not here is missed by whoever
// watches metrics.
func TestEveryStatisticIsAMetric(t *testing.T) {
	t.Parallel()
	window := drift.WindowStatus{
		Name: "1000", Features: []drift.FeatureStatus{{Feature: "pay_0"}}, Score: drift.FeatureStatus{Feature: drift.ScoreName},
		Groups: []drift.GroupStatus{{Attribute: "sex", Group: "2"}}, Expected: []drift.ExpectedStatus{{ModelVersion: "v1"}},
	}
	version := drift.PerformanceStatus{ModelVersion: "v1", Bands: make([]drift.BandStatus, 2)}
	outcomes := drift.OutcomeStatus{}
	values := map[float64]string{}
	numbered(values, &window, &window.Features[0], &window.Score, &window.Rates, &window.Groups[0], &window.Expected[0], &version, &version.Bands[0], &version.Bands[1], &outcomes)
	require.Greater(t, len(values), 60)
	outcomes.Versions = []drift.PerformanceStatus{version}

	r := prometheus.NewRegistry()
	m := newMetrics(r)
	m.show(&drift.Status{
		LastDecision: 1, Windows: []drift.WindowStatus{window}, Outcomes: outcomes,
		Alerts: []drift.AlertStatus{{Alert: schemas.Alert{Alert: "drift/pay_0", State: schemas.AlertFiring}}},
	})
	shown := func() map[float64]bool {
		families, err := r.Gather()
		require.NoError(t, err)
		seen := map[float64]bool{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				seen[metric.GetGauge().GetValue()] = true
			}
		}
		return seen
	}
	seen := shown()
	for v, name := range values {
		require.True(t, seen[v], "%s is no metric", name)
	}
	m.forget()
	seen = shown()
	for v, name := range values {
		require.False(t, seen[v], "%s is shown by one that does not work", name)
	}
}
