package reports

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/creditstream/creditstream/schemas"
)

// Measures name the metrics that say what a component has done: what is reported is
// what its metrics show. An empty name is 0.
type Measures struct {
	Records     string // what it does, summed over labels
	Decisions   string // by label decision
	DeadLetters string
	Errors      string
	Lag         string // gauge by label partition
}

// sample is one value of a metric.
type sample struct {
	labels map[string]string
	value  float64
}

// samples are the values of metrics by name.
type samples map[string][]sample

// gather reads every counter and gauge there is.
func gather(g prometheus.Gatherer) (samples, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, fmt.Errorf("reading the metrics: %w", err)
	}
	all := samples{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			one := sample{labels: map[string]string{}, value: m.GetCounter().GetValue() + m.GetGauge().GetValue()}
			for _, l := range m.GetLabel() {
				one.labels[l.GetName()] = l.GetValue()
			}
			all[f.GetName()] = append(all[f.GetName()], one)
		}
	}
	return all, nil
}

func (s samples) sum(name string) (n int64) {
	for _, one := range s[name] {
		n += int64(one.value)
	}
	return n
}

// count sets the report's counters.
func (m Measures) count(s samples, r *schemas.Replica) {
	r.Total.Records, r.DeadLetters, r.Errors = s.sum(m.Records), s.sum(m.DeadLetters), s.sum(m.Errors)
	for _, one := range s[m.Decisions] {
		n := int64(one.value)
		switch one.labels["decision"] {
		case schemas.Approve:
			r.Decisions.Approve += n
		case schemas.Refer:
			r.Decisions.Refer += n
		case schemas.Decline:
			r.Decisions.Decline += n
		}
	}
	behind := map[int32]int64{} // partitions of one number belong together, of whichever topic
	for _, one := range s[m.Lag] {
		if partition, err := strconv.ParseInt(one.labels["partition"], 10, 32); err == nil {
			behind[int32(partition)] += int64(one.value)
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(behind)) {
		r.Lag = append(r.Lag, schemas.PartitionLag{Partition: partition, Offsets: behind[partition]})
	}
}
