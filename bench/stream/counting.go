package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/creditstream/creditstream/bench/measure"
)

// Those that read decisions.
const (
	nameReader = "reader"
	nameDrift  = "drift"
)

// counting is how fast decisions that wait on a broker are counted by the drift
// aggregator, beside a reader of committed records that looks at none of them.
type counting struct {
	Decisions  int               `json:"decisions"`
	Partitions int               `json:"partitions"`
	Runs       map[string][]pass `json:"runs"` // by name, a run a round
}

// counting lets the scorer decide a backlog once, and has what it decided read and
// counted, once a round.
func (b *bench) counting(ctx context.Context, decisions, partitions, rounds int) (counting, error) {
	c := counting{Decisions: decisions, Partitions: partitions, Runs: map[string][]pass{}}
	t := task{prefix: fmt.Sprintf("%s-counting-%d", b.run, decisions), start: "start"}
	t.group = t.prefix + "-score"
	if err := b.prepare(ctx, t.prefix, partitions); err != nil {
		return c, err
	}
	fmt.Fprintf(os.Stderr, "deciding %d applications\n", decisions)
	if err := b.produce(ctx, t.prefix, decisions, 0); err != nil {
		return c, err
	}
	if _, err := b.workOff(ctx, nameCreditstream, t, decisions); err != nil {
		return c, err
	}
	topic := t.output(nameCreditstream)
	for round := range rounds {
		read, past, err := b.read(ctx, topic, decisions)
		if err != nil {
			return c, err
		}
		counted, err := b.drift(ctx, task{prefix: t.prefix, group: fmt.Sprintf("%s-%s-%d", t.prefix, nameDrift, round), start: "start"}, topic, past, decisions)
		if err != nil {
			return c, err
		}
		fmt.Fprintf(os.Stderr, "round %d: %s %9s decisions/s, %s %9s, CPU per million %5.2f s\n",
			round+1, nameReader, measure.Number(read.PerSecond), nameDrift, measure.Number(counted.PerSecond), counted.CPU)
		c.Runs[nameReader], c.Runs[nameDrift] = append(c.Runs[nameReader], read), append(c.Runs[nameDrift], counted)
	}
	return c, b.empty(ctx, topic)
}

// read is a plain reader of everything in a topic, in this process. It tells where
// one who has read everything stands.
func (b *bench) read(ctx context.Context, topic string, records int) (r pass, past int64, err error) {
	began, cpu, broker := time.Now(), measure.CPU(os.Getpid()), measure.CPU(b.brokerPID)
	n, past, err := b.count(ctx, topic)
	if err != nil {
		return r, 0, err
	}
	if n != records {
		return r, 0, fmt.Errorf("%s holds %d decisions, expected %d", topic, n, records)
	}
	r.WholeTime = time.Since(began).Seconds()
	r.WholeCPU = (measure.CPU(os.Getpid()) - cpu).Seconds()
	millions := float64(n) / 1e6
	r.PerSecond, r.CPU = float64(n)/r.WholeTime, r.WholeCPU/millions
	r.BrokerCPU = (measure.CPU(b.brokerPID) - broker).Seconds() / millions
	return r, past, nil
}

// drift lets the aggregator count a topic up to an offset, all partitions together.
// Its figures are of all from its start, joining its group included: it commits some
// hundred thousand at a time, and what lies between two commits was worked on before.
func (b *bench) drift(ctx context.Context, t task, topic string, end int64, decisions int) (r pass, err error) {
	began, broker := time.Now(), measure.CPU(b.brokerPID)
	p, err := b.begin(nameDrift, t.group, []string{
		b.binary, "drift", "run", "--brokers", b.brokers, "--prefix", t.prefix, "--model", b.bundle, "--group", t.group, "--instance", t.group,
		"--from", t.start, "--sessions", strconv.Itoa(b.sessions), "--redis", nobody,
	})
	if err != nil {
		return r, err
	}
	samples, err := b.follow(ctx, p, t.group, topic, end)
	if err == nil {
		r.WholeTime = samples[len(samples)-1].at.Sub(began).Seconds()
		r.WholeCPU = measure.CPU(p.Process.Pid).Seconds()
		r.PeakMiB = float64(measure.PeakMemory(p.Process.Pid)) / (1 << 20)
		millions := float64(decisions) / 1e6
		r.PerSecond, r.CPU = float64(decisions)/r.WholeTime, r.WholeCPU/millions
		r.BrokerCPU = (samples[len(samples)-1].broker - broker).Seconds() / millions
	}
	if ended := p.end(); err == nil {
		err = ended
	}
	return r, err
}

// nobody is an address where no Redis answers: decisions are counted without one,
// only outcomes wait for it.
const nobody = "127.0.0.1:1"

// show writes the medians of all rounds, and the ratios of each.
func (c counting) show(w io.Writer) {
	fmt.Fprintf(w, "\n%s decisions, %d partitions: medians of %d rounds\n\n", measure.Number(float64(c.Decisions)), c.Partitions, rounds(c.Runs))
	table := measure.Table{Header: []string{"what", "decisions/s", "× reader", "CPU s / million", "broker CPU s / million", "peak MiB"}}
	of := func(name string, figure func(pass) float64) (values []float64) {
		for _, r := range c.Runs[name] {
			values = append(values, figure(r))
		}
		return values
	}
	speed := func(r pass) float64 { return r.PerSecond }
	for _, name := range []string{nameReader, nameDrift} {
		median := func(figure func(pass) float64) string { return measure.Number(measure.Median(of(name, figure))) }
		peak := "–" // the reader is this process
		if name == nameDrift {
			peak = median(func(r pass) float64 { return r.PeakMiB })
		}
		table.Add(name, median(speed), measure.Number(measure.Median(measure.Ratios(of(name, speed), of(nameReader, speed)))),
			median(func(r pass) float64 { return r.CPU }), median(func(r pass) float64 { return r.BrokerCPU }), peak)
	}
	table.Write(w)
}
