package counting

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// likely draws features as often as the reference has them, each by itself.
func likely(r *rand.Rand, ref *model.Reference) (f schemas.Features) {
	for i := range f {
		rule, d := &schemas.FeatureRules[i], &ref.Features[i]
		at, left := 0, r.Int64N(ref.Rows-d.Missing-d.OutOfRange)
		for left >= d.Counts[at] {
			left -= d.Counts[at]
			at++
		}
		from, to := rule.Min, rule.Max
		if at > 0 {
			from = max(from, int32(math.Ceil(d.Edges[at-1])))
		}
		if at < len(d.Edges) {
			to = min(to, int32(math.Ceil(d.Edges[at]))-1)
		}
		f[i] = from + r.Int32N(max(0, to-from)+1)
	}
	return f
}

func timedDecisions(b *testing.B) (*Bins, []schemas.Prediction) {
	b.Helper()
	r, ref := rand.New(rand.NewPCG(1, 1)), drifttest.ShippedReference(b)
	all := make([]schemas.Prediction, 1<<13)
	for i := range all {
		all[i] = *drifttest.AnyDecision(r, ref)
		all[i].Features = likely(r, ref)
		all[i].ModelVersion, all[i].Route, all[i].Channel, all[i].Shadow = "v1", schemas.RouteChampion, schemas.ChannelStream, nil
	}
	return NewBins(ref), all
}

// BenchmarkCounter counts decoded decisions.
func BenchmarkCounter(b *testing.B) {
	bins, all := timedDecisions(b)
	c := NewCounter(bins)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.Add(&all[i&(len(all)-1)])
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// BenchmarkDecodeAndCount counts decisions from their text on the topic.
func BenchmarkDecodeAndCount(b *testing.B) {
	bins, all := timedDecisions(b)
	texts := make([][]byte, len(all))
	for i := range all {
		p := all[i]
		p.ApplicationID, p.Engine, p.PolicyVersion, p.RouteRevision = "A-000123", "native", "3f9c1a7e", 3
		p.AppliedAt, p.DecidedAt = 1e15, 1e15+7879
		p.Reasons = []schemas.Reason{{Code: "UTILISATION", Contribution: 0.4121}, {Code: "RECENT_DELAY", Contribution: 0.1277}}
		texts[i] = schemas.AppendPrediction(nil, &p)
	}
	c := NewCounter(bins)
	var p schemas.Prediction
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := schemas.DecodeDecision(texts[i&(len(texts)-1)], &p); err != nil {
			b.Fatal(err)
		}
		c.Add(&p)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}
