package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/bench/measure"
)

// pollInterval is how often a group's committed offsets are looked up while a
// contestant works: a look-up costs the broker well under a millisecond.
const pollInterval = 20 * time.Millisecond

// throughput is how fast a backlog is worked off.
type throughput struct {
	Records    int               `json:"records"`
	Partitions int               `json:"partitions"`
	Runs       map[string][]pass `json:"runs"` // by contestant, a run a round
}

// pass is one contestant's work on the whole backlog. Figures are of the last 80 %
// of it where they do not say otherwise: starting up is not what is measured.
type pass struct {
	PerSecond float64 `json:"per_second"`
	CPU       float64 `json:"cpu_seconds_per_million"`
	BrokerCPU float64 `json:"broker_cpu_seconds_per_million"`
	WholeCPU  float64 `json:"whole_cpu_seconds"` // from its start, of all records
	WholeTime float64 `json:"whole_seconds"`     // from its start
	PeakMiB   float64 `json:"peak_mib"`
}

// throughput produces a backlog and lets every contestant work it off, once a round.
func (b *bench) throughput(ctx context.Context, records, partitions, rounds int) (throughput, error) {
	t := throughput{Records: records, Partitions: partitions, Runs: map[string][]pass{}}
	prefix := fmt.Sprintf("%s-backlog-%d-%d", b.run, records, partitions)
	if err := b.prepare(ctx, prefix, partitions); err != nil {
		return t, err
	}
	fmt.Fprintf(os.Stderr, "producing %d applications on %d partitions\n", records, partitions)
	if err := b.produce(ctx, prefix, records, 0); err != nil {
		return t, err
	}
	for round := range rounds {
		for _, name := range b.contestants() {
			group := fmt.Sprintf("%s-%s-%d", prefix, name, round)
			r, err := b.workOff(ctx, name, task{prefix: prefix, group: group, start: "start"}, records)
			if err != nil {
				return t, err
			}
			if err := b.empty(ctx, task{prefix: prefix}.output(name)); err != nil {
				return t, err
			}
			fmt.Fprintf(os.Stderr, "round %d: %-12s %9s records/s, CPU per million: %5.2f s, broker %5.2f s, peak %4.0f MiB\n",
				round+1, name, measure.Number(r.PerSecond), r.CPU, r.BrokerCPU, r.PeakMiB)
			t.Runs[name] = append(t.Runs[name], r)
		}
	}
	return t, b.empty(ctx, task{prefix: prefix}.applications())
}

// sample is a moment of a run.
type sample struct {
	at        time.Time
	committed int64
	cpu       time.Duration
	broker    time.Duration
}

// workOff lets one contestant answer every application and sees that it did.
func (b *bench) workOff(ctx context.Context, name string, t task, records int) (r pass, err error) {
	began := time.Now()
	p, err := b.begin(name, t.group, b.command(name, t))
	if err != nil {
		return r, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = p.end() // there is an error to tell already
		}
	}()
	samples, err := b.follow(ctx, p, t.group, t.applications(), int64(records))
	if err != nil {
		return r, err
	}
	r.WholeTime = samples[len(samples)-1].at.Sub(began).Seconds()
	r.WholeCPU = measure.CPU(p.Process.Pid).Seconds()
	r.PeakMiB = float64(measure.PeakMemory(p.Process.Pid)) / (1 << 20)
	r.figures(samples, int64(records))
	stopped = true
	if err := p.end(); err != nil {
		return r, err
	}
	written, _, err := b.count(ctx, t.output(name))
	if err != nil {
		return r, err
	}
	if written != records {
		return r, fmt.Errorf("%s wrote %d records for %d applications: the run is void; its log is %s", name, written, records, p.log)
	}
	return r, nil
}

// follow watches the committed offsets of a contestant's group until it has worked
// off all records of a topic.
func (b *bench) follow(ctx context.Context, p *process, group, topic string, records int64) (samples []sample, err error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-p.done:
			return nil, p.ended(err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		committed, err := b.admin.FetchOffsets(ctx, group)
		if err != nil {
			continue // the group may not be there yet
		}
		s := sample{at: time.Now(), cpu: measure.CPU(p.Process.Pid), broker: measure.CPU(b.brokerPID)}
		for _, o := range committed[topic] {
			s.committed += max(0, o.At)
		}
		if len(samples) == 0 || s.committed > samples[len(samples)-1].committed {
			samples = append(samples, s)
		}
		if s.committed >= records {
			return samples, nil
		}
	}
}

// figures are those of the samples from the first with a fifth of the records on.
func (r *pass) figures(samples []sample, records int64) {
	from := 0
	for samples[from].committed < records/5 {
		from++
	}
	first, last := samples[from], samples[len(samples)-1]
	n := float64(last.committed - first.committed)
	r.PerSecond = n / last.at.Sub(first.at).Seconds()
	r.CPU = (last.cpu - first.cpu).Seconds() / n * 1e6
	r.BrokerCPU = (last.broker - first.broker).Seconds() / n * 1e6
}

// count reads what a topic holds, as a reader of committed records sees it: how many
// records, and the offsets behind each partition's last, added up. An end of a
// transaction may lie behind those.
func (b *bench) count(ctx context.Context, topic string) (n int, past int64, err error) {
	ends, err := b.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	starts, err := b.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	left := map[int32]int64{} // partitions, and where each one ends
	from := map[int32]kgo.Offset{}
	for partition, end := range ends[topic] {
		if start := starts[topic][partition].Offset; start < end.Offset {
			left[partition], from[partition] = end.Offset, kgo.NewOffset().At(start)
		}
	}
	if len(left) == 0 {
		return 0, 0, nil
	}
	client, err := kgo.NewClient(b.reader(kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	behind := map[int32]int64{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, 0, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				n++
				behind[r.Partition] = r.Offset + 1
			}
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	for _, offset := range behind {
		past += offset
	}
	return n, past, nil
}

// show writes the medians of all rounds, and the ratios of each.
func (t throughput) show(w io.Writer) {
	fmt.Fprintf(w, "\n%s applications, %d partitions: medians of %d rounds\n\n", measure.Number(float64(t.Records)), t.Partitions, rounds(t.Runs))
	table := measure.Table{Header: []string{"what", "records/s", "× copy", "× python", "CPU s / million", "× copy", "broker CPU s / million", "peak MiB"}}
	of := func(name string, figure func(pass) float64) (values []float64) {
		for _, r := range t.Runs[name] {
			values = append(values, figure(r))
		}
		return values
	}
	speed := func(r pass) float64 { return r.PerSecond }
	cpu := func(r pass) float64 { return r.CPU }
	for _, name := range order(t.Runs) {
		median := func(figure func(pass) float64) string { return measure.Number(measure.Median(of(name, figure))) }
		against := func(other string, figure func(pass) float64) string {
			return measure.Number(measure.Median(measure.Ratios(of(name, figure), of(other, figure))))
		}
		table.Add(name, median(speed), against(nameCopy, speed), against(namePython, speed),
			median(cpu), against(nameCopy, cpu), median(func(r pass) float64 { return r.BrokerCPU }),
			median(func(r pass) float64 { return r.PeakMiB }))
	}
	table.Write(w)
}
