// Command drift measures how seldom drift is seen where nothing has changed, and
// how soon where something has, on windows drawn from the dataset: the product's
// test beside a plain rule and Evidently's preset on the same windows.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"

	"github.com/creditstream/creditstream/bench/measure"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/model/shipped"
)

// shifts are what is looked for: each in each of the features.
var (
	shiftSizes    = []float64{0.1, 0.03}
	shiftFeatures = []string{"limit_bal", "pay_0", "bill_amt1"}
)

// ruleFigures are what one rule did.
type ruleFigures struct {
	Rule   string    `json:"rule"`
	Quiet  runLength `json:"quiet"`
	Delays []delay   `json:"delays"`
}

// report is docs/benchmarks/drift.json.
type report struct {
	Machine  measure.Machine `json:"machine"`
	Settings settings        `json:"settings"`
	Act      float64         `json:"act"`
	Floor    float64         `json:"floor"`
	Full     float64         `json:"full"`
	Rules    []ruleFigures   `json:"rules"`
	// Evidently runs fewer times, on the first windows of the same streams.
	EvidentlyRuns int       `json:"evidently_runs,omitempty"`
	Counted       []counted `json:"counted,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-drift:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("drift", flag.ContinueOnError)
	flags.SetOutput(stderr)
	s := settings{}
	dataset := flags.String("data", os.Getenv("DATASET"), "UCI_Credit_Card.csv")
	out := flags.String("out", "docs/benchmarks/drift.json", "where to write the figures; empty: nowhere")
	flags.IntVar(&s.Runs, "runs", 200, "runs, each with a reference of its own")
	flags.IntVar(&s.Reference, "reference", 24_000, "rows of a reference")
	flags.IntVar(&s.Window, "window", sequential.BlockSize, "decisions in a window")
	flags.IntVar(&s.Longest, "longest", 2_000, "windows after which a run without alarm ends")
	flags.Uint64Var(&s.Seed, "seed", 1, "of everything that is drawn")
	workers := flags.Int("workers", runtime.NumCPU(), "runs at once; changes no figure")
	python := flags.String("python", "", "Python with Evidently; empty: without it")
	countRows := flags.Int("count", 1_000_000, "decisions to count beside Evidently; 0: none")
	countOnly := flags.Int("count-only", 0, "count so many decisions, print what it took, and end")
	evidentlyRuns := flags.Int("evidently-runs", 5, "runs with Evidently")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dataset == "" {
		return fmt.Errorf("set DATASET or -data to UCI_Credit_Card.csv (make data fetches it)")
	}
	if *countOnly > 0 {
		took, err := count(*dataset, *countOnly)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(took)
	}
	p, err := readPopulation(*dataset, shipped.Bundle)
	if err != nil {
		return err
	}
	figures := report{Machine: measure.ThisMachine(), Settings: s, Act: sequential.Act, Floor: sequential.Floor, Full: sequential.Full}
	for _, r := range []struct {
		name  string
		begin starter
	}{{"creditstream", newDeciding}, {"PSI > 0.1 on the last window", newPlain}} {
		fmt.Fprintln(stderr, r.name)
		one := ruleFigures{Rule: r.name, Quiet: p.quietRuns(s, *workers, r.begin)}
		for _, psi := range shiftSizes {
			for _, name := range shiftFeatures {
				one.Delays = append(one.Delays, p.delays(s, *workers, p.feature(name), psi, r.begin))
			}
		}
		figures.Rules = append(figures.Rules, one)
	}
	if *python != "" {
		if err := save(*out, figures); err != nil { // Evidently takes its time
			return err
		}
		fmt.Fprintln(stderr, "Evidently")
		s.Runs = *evidentlyRuns
		rules, err := p.evidently(ctx, s, *python, *dataset, stderr)
		if err != nil {
			return err
		}
		figures.Rules, figures.EvidentlyRuns = append(figures.Rules, rules...), *evidentlyRuns
		if *countRows > 0 {
			if figures.Counted, err = countBeside(ctx, *dataset, *python, *countRows, stderr); err != nil {
				return err
			}
		}
	}
	show(stdout, figures)
	return save(*out, figures)
}

func save(path string, figures report) error {
	if path == "" {
		return nil
	}
	return measure.Save(path, figures)
}

// feature is the index of a feature by its name.
func (p *population) feature(name string) int {
	return slices.Index(p.model.Manifest.Inputs, name)
}

// show prints a row for each rule.
func show(w io.Writer, r report) {
	header := []string{"rule", "windows without change", "false alarms", "mean run", "95 % at least"}
	for _, d := range r.Rules[0].Delays {
		header = append(header, fmt.Sprintf("%s %v", d.Feature, d.PSI))
	}
	t := measure.Table{Header: header}
	for _, one := range r.Rules {
		cells := []string{
			one.Rule, measure.Number(float64(one.Quiet.Windows)), measure.Number(float64(one.Quiet.Alarms)),
			measure.Number(one.Quiet.Mean), measure.Number(one.Quiet.Lower),
		}
		for _, d := range one.Delays {
			if d.Median > float64(d.Looked) {
				cells = append(cells, fmt.Sprintf("> %d", d.Looked))
				continue
			}
			cells = append(cells, measure.Number(d.Median))
		}
		t.Add(cells...)
	}
	t.Write(w)
	if len(r.Counted) == 0 {
		return
	}
	fmt.Fprintln(w)
	t = measure.Table{Header: []string{"decisions compared with the reference", "decisions", "seconds", "CPU seconds", "peak MiB"}}
	for _, c := range r.Counted {
		t.Add(c.What, measure.Number(float64(c.Rows)), measure.Number(c.Seconds), measure.Number(c.CPU), measure.Number(float64(c.MiB)))
	}
	t.Write(w)
}

// write puts a plan where Python finds it.
func write(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
