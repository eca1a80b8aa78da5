package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/bench/measure"
	"github.com/creditstream/creditstream/schemas"
)

// warmUp is how long applications flow before they count.
const warmUp = 3 * time.Second

// latency is how long an application takes from applied_at until a reader of
// committed records has its answer.
type latency struct {
	Rate    int                `json:"rate"` // applications per second
	Seconds int                `json:"seconds"`
	Runs    map[string][]delay `json:"runs"` // by contestant, a run a round
}

// delay is one contestant's run.
type delay struct {
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	CPU     float64 `json:"cpu"` // cores
	Broker  float64 `json:"broker_cpu"`
	Answers int     `json:"answers"`
}

func (b *bench) latency(ctx context.Context, rate, seconds, rounds int) (latency, error) {
	l := latency{Rate: rate, Seconds: seconds, Runs: map[string][]delay{}}
	prefix := fmt.Sprintf("%s-live-%d", b.run, rate)
	if err := b.prepare(ctx, prefix, 12); err != nil {
		return l, err
	}
	for round := range rounds {
		for _, name := range b.contestants() {
			group := fmt.Sprintf("%s-%s-%d", prefix, name, round)
			d, err := b.answer(ctx, name, task{prefix: prefix, group: group, start: "end"}, rate, seconds)
			if err != nil {
				return l, err
			}
			fmt.Fprintf(os.Stderr, "%d/s, round %d: %-12s p50 %5.1f, p90 %5.1f, p99 %5.1f, max %5.1f ms\n", rate, round+1, name, d.P50, d.P90, d.P99, d.Max)
			l.Runs[name] = append(l.Runs[name], d)
		}
	}
	return l, nil
}

// answer times one contestant at a rate.
func (b *bench) answer(ctx context.Context, name string, t task, rate, seconds int) (d delay, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+2*time.Minute)
	defer cancel()
	p, err := b.begin(name, t.group, b.command(name, t))
	if err != nil {
		return d, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = p.end() // there is an error to tell already
		}
	}()
	if err := b.settled(ctx, p, t); err != nil {
		return d, err
	}
	ends, err := b.admin.ListEndOffsets(ctx, t.output(name))
	if err != nil {
		return d, err
	}
	from := map[int32]kgo.Offset{}
	for partition, end := range ends[t.output(name)] {
		from[partition] = kgo.NewOffset().At(end.Offset)
	}
	client, err := kgo.NewClient(b.reader(kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.output(name): from}))...)
	if err != nil {
		return d, err
	}
	defer client.Close()
	n := rate * (seconds + int(warmUp.Seconds()))
	produced := make(chan error, 1)
	began := time.Now().Truncate(time.Microsecond) // as applied_at is
	cpu, broker := measure.CPU(p.Process.Pid), measure.CPU(b.brokerPID)
	go func() { produced <- b.produce(ctx, t.prefix, n, rate) }()
	took, err := read(ctx, client, n, began)
	if err != nil {
		return d, fmt.Errorf("reading what %s answers: %w; its log is %s", name, err, p.log)
	}
	elapsed := time.Since(began).Seconds()
	d.CPU, d.Broker = (measure.CPU(p.Process.Pid)-cpu).Seconds()/elapsed, (measure.CPU(b.brokerPID)-broker).Seconds()/elapsed
	if err := <-produced; err != nil {
		return d, err
	}
	slices.Sort(took)
	d.P50, d.P90, d.P99, d.Max = measure.Quantile(took, 0.5), measure.Quantile(took, 0.9), measure.Quantile(took, 0.99), measure.Quantile(took, 1)
	d.Answers = len(took)
	stopped = true
	return d, p.end()
}

// settled waits until a contestant owns every partition, and then a second more:
// where it reads from must be fixed before the first application comes.
func (b *bench) settled(ctx context.Context, p *process, t task) error {
	for {
		select {
		case err := <-p.done:
			return p.ended(err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		groups, err := b.admin.DescribeGroups(ctx, t.group)
		if err != nil {
			continue
		}
		g := groups[t.group]
		owned := 0
		assigned := g.AssignedPartitions()
		for _, partitions := range assigned {
			owned += len(partitions)
		}
		if g.State != "Stable" || owned < 12 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return nil
	}
}

// reader are the options of a client that reads committed records.
func (b *bench) reader(opts ...kgo.Opt) []kgo.Opt {
	return append(opts, kgo.SeedBrokers(strings.Split(b.brokers, ",")...), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

// read takes the answers to n applications handed in since began and returns, in
// milliseconds, how old each was, those of the warm-up left out.
func read(ctx context.Context, client *kgo.Client, n int, began time.Time) (took []float64, err error) {
	counts := began.Add(warmUp)
	for seen := 0; seen < n; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d of %d came: %w", seen, n, err)
		}
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			at, e := appliedAt(r.Value)
			if e != nil {
				err = e
			}
			if at.Before(began) {
				return // of a round before
			}
			seen++
			if at.After(counts) {
				took = append(took, float64(now.Sub(at).Microseconds())/1000)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

var appliedAtKey = []byte(`"applied_at":"`)

// appliedAt is when an application was handed in, by its own record or its answer.
func appliedAt(value []byte) (time.Time, error) {
	_, rest, ok := bytes.Cut(value, appliedAtKey)
	end := bytes.IndexByte(rest, '"')
	var t schemas.Timestamp
	if !ok || end < 0 {
		return time.Time{}, fmt.Errorf("%.100q has no applied_at", value)
	}
	err := t.UnmarshalText(rest[:end])
	return t.Time(), err
}

// show writes the medians of all rounds.
func (l latency) show(w io.Writer) {
	fmt.Fprintf(w, "\n%s applications/s: applied → readable in committed records, ms, medians of %d rounds of %d s\n\n",
		measure.Number(float64(l.Rate)), rounds(l.Runs), l.Seconds)
	table := measure.Table{Header: []string{"what", "p50", "p90", "p99", "cores", "broker cores"}}
	for _, name := range order(l.Runs) {
		median := func(figure func(delay) float64) string {
			var values []float64
			for _, d := range l.Runs[name] {
				values = append(values, figure(d))
			}
			return measure.Number(measure.Median(values))
		}
		table.Add(name, median(func(d delay) float64 { return d.P50 }), median(func(d delay) float64 { return d.P90 }),
			median(func(d delay) float64 { return d.P99 }), median(func(d delay) float64 { return d.CPU }), median(func(d delay) float64 { return d.Broker }))
	}
	table.Write(w)
}
