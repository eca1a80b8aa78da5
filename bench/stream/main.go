// Command stream measures the scorer on a real broker beside a copy that scores
// nothing and beside what a team would write in Python: the same applications,
// one after the other in every round. bench/stream.sh starts what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/bench/measure"
)

// bench is one run of this command.
type bench struct {
	brokers   string
	brokerPID int
	binary    string            // creditstream
	others    map[string]string // other builds of it, by name
	copy      string            // bench/copy
	python    string            // interpreter with bench/python/requirements.txt
	script    string            // bench/python/score.py
	bundle    string
	dataset   string
	only      []string
	sessions  int
	logs      string // folder
	run       string // begins the names of this run's topics and groups
	admin     *kadm.Client
}

// results are what is written as JSON.
type results struct {
	Machine    measure.Machine `json:"machine"`
	Throughput []throughput    `json:"throughput,omitempty"`
	Latency    []latency       `json:"latency,omitempty"`
	Counting   []counting      `json:"counting,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-stream:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		b          = bench{others: map[string]string{}}
		only, save string
		records    = flag.String("records", "1000000", "applications, several runs of growth separated by commas")
		partitions = flag.String("partitions", "12", "partitions, several separated by commas")
		rounds     = flag.Int("rounds", 5, "rounds; every contestant runs once in each")
		rates      = flag.String("rates", "", "applications per second at which latency is measured, separated by commas; empty: not measured")
		seconds    = flag.Int("seconds", 20, "how long latency is measured at each rate, after as long as it takes to warm up")
	)
	count := flag.String("count", "", "decisions that the drift aggregator counts, several runs separated by commas; empty: none")
	flag.StringVar(&b.brokers, "brokers", "127.0.0.1:9092", "Kafka brokers, host:port,…")
	flag.IntVar(&b.brokerPID, "broker-pid", -1, "process of the broker, to count its CPU")
	flag.StringVar(&b.binary, "creditstream", "bin/creditstream", "binary to measure")
	flag.Func("other", "NAME=BINARY: another build of creditstream, to measure a change; may be repeated", func(text string) error {
		name, binary, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("expected NAME=BINARY")
		}
		b.others[name] = binary
		return nil
	})
	flag.StringVar(&b.copy, "copy", "", "binary of bench/copy")
	flag.StringVar(&b.python, "python", ".venv-bench/bin/python", "Python interpreter")
	flag.StringVar(&b.script, "script", "bench/python/score.py", "Python scorer")
	flag.StringVar(&b.bundle, "bundle", "model/shipped/credit-default.bundle", "model that all score with")
	flag.StringVar(&b.dataset, "dataset", "", "UCI CSV file")
	flag.StringVar(&only, "only", "copy,creditstream,python", "contestants, separated by commas")
	flag.IntVar(&b.sessions, "sessions", 2, "transactional sessions of copy and creditstream")
	flag.StringVar(&b.logs, "logs", os.TempDir(), "folder of the contestants' logs")
	flag.StringVar(&save, "save", "", "file to write all figures to, as JSON")
	flag.Parse()
	b.only = strings.Split(only, ",")
	b.run = "bench-" + strconv.FormatInt(time.Now().Unix(), 36)
	numbers, err := integers(*records)
	if err != nil {
		return fmt.Errorf("-records: %w", err)
	}
	widths, err := integers(*partitions)
	if err != nil {
		return fmt.Errorf("-partitions: %w", err)
	}
	perSecond, err := integers(*rates)
	if err != nil {
		return fmt.Errorf("-rates: %w", err)
	}
	decisions, err := integers(*count)
	if err != nil {
		return fmt.Errorf("-count: %w", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(b.brokers, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	b.admin = kadm.NewClient(client)

	r := results{Machine: measure.ThisMachine()}
	fmt.Println(r.Machine)
	for _, width := range widths {
		for _, n := range numbers {
			t, err := b.throughput(ctx, n, width, *rounds)
			if err != nil {
				return err
			}
			r.Throughput = append(r.Throughput, t)
			t.show(os.Stdout)
		}
	}
	for _, rate := range perSecond {
		l, err := b.latency(ctx, rate, *seconds, *rounds)
		if err != nil {
			return err
		}
		r.Latency = append(r.Latency, l)
		l.show(os.Stdout)
	}
	for _, width := range widths {
		for _, n := range decisions {
			c, err := b.counting(ctx, n, width, *rounds)
			if err != nil {
				return err
			}
			r.Counting = append(r.Counting, c)
			c.show(os.Stdout)
		}
	}
	if save == "" {
		return nil
	}
	return measure.Save(save, r)
}

// integers reads positive numbers separated by commas.
func integers(text string) (out []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, errors.New(part + ": expected a whole number, at least 1")
		}
		out = append(out, n)
	}
	return out, nil
}
