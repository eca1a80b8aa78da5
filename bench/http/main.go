// Command http measures POST /predict with wrk: the API as it is (every decision
// in Kafka before it is answered), the API without a log, a bare handler on the
// same router, and FastAPI with ONNX Runtime. bench/http.sh starts what it needs.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creditstream/creditstream/bench/measure"
	"github.com/creditstream/creditstream/schemas"
)

// Services.
const (
	bare        = "bare handler"
	unpublished = "creditstream, unpublished"
	published   = "creditstream"
	fastAPI     = "FastAPI, 1 worker"
	fastAPI2    = "FastAPI, 2 workers"
)

var services = []string{bare, unpublished, published, fastAPI, fastAPI2}

// bench is one run of this command.
type bench struct {
	brokers string
	prefix  string
	binary  string // creditstream
	answer  string // bench/answer
	python  string
	app     string // folder of serve.py
	bundle  string
	script  string // post.lua
	bodies  string
	logs    string
	seconds int
	clients int
}

// load is one service under load for some seconds.
type load struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	CPU       float64 `json:"cpu_us_per_request"`
	PeakMiB   float64 `json:"peak_mib"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-http:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		b       bench
		dataset = flag.String("dataset", "", "UCI CSV file")
		rounds  = flag.Int("rounds", 5, "rounds; every service is measured once in each")
		save    = flag.String("save", "", "file to write all figures to, as JSON")
	)
	flag.StringVar(&b.brokers, "brokers", "127.0.0.1:9092", "Kafka brokers, host:port,…")
	flag.StringVar(&b.binary, "creditstream", "bin/creditstream", "binary to measure")
	flag.StringVar(&b.answer, "answer", "", "binary of bench/answer")
	flag.StringVar(&b.python, "python", ".venv-bench/bin/python", "Python interpreter")
	flag.StringVar(&b.app, "app", "bench/python", "folder of serve.py")
	flag.StringVar(&b.bundle, "bundle", "model/shipped/credit-default.bundle", "model that all score with")
	flag.StringVar(&b.script, "script", "bench/http/post.lua", "what wrk does")
	flag.StringVar(&b.logs, "logs", os.TempDir(), "folder of the services' logs")
	flag.IntVar(&b.seconds, "seconds", 8, "how long each service is measured in a round, after two seconds to warm up")
	flag.IntVar(&b.clients, "clients", 64, "connections")
	flag.Parse()
	b.prefix = "bench-http-" + strconv.FormatInt(time.Now().Unix(), 36)
	b.bodies = filepath.Join(b.logs, "bodies")
	if err := writeBodies(*dataset, b.bodies, 256); err != nil {
		return fmt.Errorf("-dataset %s: %w", *dataset, err)
	}
	apply := exec.CommandContext(ctx, b.binary, "topics", "apply", "--brokers", b.brokers, "--prefix", b.prefix, "--replication", "1")
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("topics apply: %w: %s", err, out)
	}
	machine := measure.ThisMachine()
	fmt.Println(machine)
	all := map[string][]load{}
	for round := range *rounds {
		for _, name := range services {
			l, err := b.measure(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d: %-26s %8s requests/s, p50 %6.2f, p99 %6.2f ms, CPU per request %5.1f µs\n",
				round+1, name, measure.Number(l.PerSecond), l.P50, l.P99, l.CPU)
			all[name] = append(all[name], l)
		}
	}
	show(os.Stdout, all, b.clients)
	if *save == "" {
		return nil
	}
	return measure.Save(*save, struct {
		Machine measure.Machine   `json:"machine"`
		Runs    map[string][]load `json:"runs"`
	}{machine, all})
}

// writeBodies writes what is posted, a request a line, from the first n rows of
// the dataset: an id, the features in the contract's order, the label.
func writeBodies(dataset, path string, n int) error {
	f, err := os.Open(dataset)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	rows := csv.NewReader(bufio.NewReader(f))
	rows.FieldsPerRecord = -1
	if _, err := rows.Read(); err != nil {
		return err
	}
	var out bytes.Buffer
	for range n {
		row, err := rows.Read()
		if err != nil {
			return err
		}
		if len(row) < 1+schemas.NumFeatures {
			return fmt.Errorf("a row has %d columns, expected an id and %d features", len(row), schemas.NumFeatures)
		}
		features := map[string]int64{}
		for i, rule := range schemas.FeatureRules {
			v, err := strconv.ParseFloat(row[1+i], 64)
			if err != nil {
				return err
			}
			features[rule.Name] = int64(v)
		}
		body, err := json.Marshal(map[string]any{"features": features})
		if err != nil {
			return err
		}
		out.Write(append(body, '\n'))
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func (b *bench) command(name, address string) []string {
	_, port, _ := net.SplitHostPort(address)
	uvicorn := []string{b.python, "-m", "uvicorn", "--app-dir", b.app, "serve:app", "--host", "127.0.0.1", "--port", port,
		"--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"}
	switch name {
	case bare:
		return []string{b.answer, "-listen", address, "-bare"}
	case unpublished:
		return []string{b.answer, "-listen", address}
	case published:
		return []string{b.binary, "api", "--shutdown-delay", "0s", "--brokers", b.brokers, "--prefix", b.prefix, "--model", b.bundle,
			"--api-listen", address, "--no-feed", "--log-level", "error"}
	case fastAPI:
		return uvicorn
	default:
		return append(uvicorn, "--workers", "2")
	}
}

// measure starts a service, warms it up and loads it.
func (b *bench) measure(ctx context.Context, name string) (l load, err error) {
	address, err := freeAddress()
	if err != nil {
		return l, err
	}
	command := b.command(name, address)
	log := filepath.Join(b.logs, strings.ReplaceAll(name, " ", "-")+".log")
	out, err := os.Create(log)
	if err != nil {
		return l, err
	}
	service := exec.Command(command[0], command[1:]...)
	service.Stdout, service.Stderr = out, out
	service.Env = append(os.Environ(), "BUNDLE="+b.bundle)
	// Ctrl-C is for the benchmark, which then stops what it has started.
	service.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = service.Start()
	_ = out.Close() // the process has its own
	if err != nil {
		return l, err
	}
	defer func() {
		// SIGTERM ends a service that then has nothing else to say.
		_ = service.Process.Signal(syscall.SIGTERM)
		_ = service.Wait()
	}()
	if err := b.answers(ctx, address); err != nil {
		return l, fmt.Errorf("%w; its log is %s", err, log)
	}
	if _, err := b.wrk(ctx, address, 2); err != nil {
		return l, fmt.Errorf("%w; its log is %s", err, log)
	}
	tree := measure.Tree(service.Process.Pid)
	before := measure.CPU(tree...)
	w, err := b.wrk(ctx, address, b.seconds)
	if err != nil {
		return l, fmt.Errorf("%w; its log is %s", err, log)
	}
	l.CPU = float64((measure.CPU(tree...) - before).Microseconds()) / float64(w.Requests)
	l.PerSecond = float64(w.Requests) / float64(w.Microseconds) * 1e6
	l.P50, l.P99 = w.P50/1000, w.P99/1000
	l.PeakMiB = float64(measure.PeakMemory(tree...)) / (1 << 20)
	return l, nil
}

// freeAddress is one that nothing listens on just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until a real request is answered well.
func (b *bench) answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	bodies, err := os.ReadFile(b.bodies)
	if err != nil {
		return err
	}
	body, _, _ := bytes.Cut(bodies, []byte("\n"))
	said := errors.New("no answer yet")
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/predict", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", resp.Status, text)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it does not answer: %w", said)
		}
		said = err
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wrkLine is what post.lua prints; times are microseconds.
type wrkLine struct {
	Requests     int64   `json:"requests"`
	Microseconds int64   `json:"microseconds"`
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	Failed       int64   `json:"failed"`
}

func (b *bench) wrk(ctx context.Context, address string, seconds int) (w wrkLine, err error) {
	command := exec.CommandContext(ctx, "wrk", "--threads", "1", "--connections", strconv.Itoa(b.clients),
		"--duration", strconv.Itoa(seconds)+"s", "--timeout", "10s", "--script", b.script, "http://"+address+"/predict")
	command.Env = append(os.Environ(), "BODIES="+b.bodies)
	out, err := command.CombinedOutput()
	if err != nil {
		return w, fmt.Errorf("wrk: %w: %s", err, out)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	at := slices.IndexFunc(lines, func(line []byte) bool { return bytes.HasPrefix(line, []byte("{")) })
	if at < 0 {
		return w, fmt.Errorf("wrk printed no figures: %s", out)
	}
	if err := json.Unmarshal(lines[at], &w); err != nil {
		return w, fmt.Errorf("wrk: %w: %s", err, lines[at])
	}
	if w.Failed > 0 {
		return w, fmt.Errorf("%d of %d requests failed: the run is void", w.Failed, w.Requests)
	}
	return w, nil
}

// show writes the medians of all rounds.
func show(w io.Writer, all map[string][]load, clients int) {
	fmt.Fprintf(w, "\nPOST /predict, %d connections, medians of %d rounds\n\n", clients, len(all[bare]))
	table := measure.Table{Header: []string{"what", "requests/s", "p50 ms", "p99 ms", "CPU µs / request", "× FastAPI's CPU", "peak MiB"}}
	of := func(name string, figure func(load) float64) (values []float64) {
		for _, l := range all[name] {
			values = append(values, figure(l))
		}
		return values
	}
	cpu := func(l load) float64 { return l.CPU }
	for _, name := range services {
		median := func(figure func(load) float64) string { return measure.Number(measure.Median(of(name, figure))) }
		table.Add(name, median(func(l load) float64 { return l.PerSecond }), median(func(l load) float64 { return l.P50 }),
			median(func(l load) float64 { return l.P99 }), median(cpu),
			measure.Number(measure.Median(measure.Ratios(of(name, cpu), of(fastAPI, cpu)))), median(func(l load) float64 { return l.PeakMiB }))
	}
	table.Write(w)
}
