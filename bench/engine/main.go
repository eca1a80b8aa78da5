// Command engine runs the benchmarks that stand beside the code and the shap
// library's, round after round, and prints what the design promises of them:
// figures side by side and their ratios.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/creditstream/creditstream/bench/measure"
)

// packages hold the benchmarks, and which of theirs are run.
var packages = []struct{ folder, pattern string }{
	{"./model/forest", "^BenchmarkRows$"},
	{"./model", "^BenchmarkEngine$"},
	{"./schemas", "^Benchmark(ApplicationDecode|PredictionEncode|PredictionDecode)$"},
	{"./scorer", "^BenchmarkDecide$"},
	{"./api", "^BenchmarkPredict$"},
}

// comparison is a figure beside another.
type comparison struct {
	what, benchmark string // benchmark is "Name/sub/…" as go test prints it, without Benchmark
	beside, other   string
	unit            string
	faster          bool // the ratio is other/benchmark, how many times faster; else benchmark/other
}

var comparisons = []comparison{
	{"native engine with reasons, batch 1024", "Engine/engine=native/batch=1024", "ONNX Runtime without", "Engine/engine=onnxruntime/batch=1024", "ns/row", true},
	{"native engine with reasons, batch 1", "Engine/engine=native/batch=1", "ONNX Runtime without", "Engine/engine=onnxruntime/batch=1", "ns/row", true},
	{"score and reasons, shipped model", "Rows/model=shipped-150x2/what=score-and-reasons", "score alone", "Rows/model=shipped-150x2/what=score", "ns/row", false},
	{"score and reasons, 40 trees × depth 3", "Rows/model=40x3/what=score-and-reasons", "score alone", "Rows/model=40x3/what=score", "ns/row", false},
	{"score and reasons, 20 × depth 4", "Rows/model=20x4/what=score-and-reasons", "score alone", "Rows/model=20x4/what=score", "ns/row", false},
	{"score and reasons, 10 × depth 5", "Rows/model=10x5/what=score-and-reasons", "score alone", "Rows/model=10x5/what=score", "ns/row", false},
	{"score and reasons, shipped model", "Rows/model=shipped-150x2/what=score-and-reasons", "shap, batch 1024", "shap/batch=1024", "ns/row", true},
	{"score and reasons, shipped model", "Rows/model=shipped-150x2/what=score-and-reasons", "shap, one row", "shap/batch=1", "ns/row", true},
	{"score and reasons, shipped model", "Rows/model=shipped-150x2/what=score-and-reasons", "recursive TreeSHAP, Go", "Rows/model=shipped-150x2/what=recursive-treeshap", "ns/row", true},
	{"application decoded, JSON, checked", "ApplicationDecode/codec=json", "encoding/json, unchecked", "ApplicationDecode/codec=encoding-json", "ns/op", true},
	{"prediction encoded, JSON", "PredictionEncode/codec=json", "encoding/json", "PredictionEncode/codec=encoding-json", "ns/op", true},
	{"prediction decoded, JSON, checked", "PredictionDecode/codec=json", "encoding/json, unchecked", "PredictionDecode/codec=encoding-json", "ns/op", true},
	{"application decoded, Avro, checked", "ApplicationDecode/codec=avro", "JSON", "ApplicationDecode/codec=json", "ns/op", true},
	{"application decoded, Avro of a later schema", "ApplicationDecode/codec=avro-resolved", "JSON", "ApplicationDecode/codec=json", "ns/op", true},
	{"prediction encoded, Avro", "PredictionEncode/codec=avro", "JSON", "PredictionEncode/codec=json", "ns/op", true},
	{"prediction decoded, Avro, checked", "PredictionDecode/codec=avro", "JSON", "PredictionDecode/codec=json", "ns/op", true},
	{"application decided, batch of 1024", "Decide", "", "", "ns/application", false},
	{"POST /predict answered, in process", "Predict", "", "", "ns/op", false},
}

// figures are what every round measured, by benchmark and unit.
type figures map[string]map[string][]float64

func (f figures) add(benchmark, unit string, v float64) {
	if f[benchmark] == nil {
		f[benchmark] = map[string][]float64{}
	}
	f[benchmark][unit] = append(f[benchmark][unit], v)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var (
		rounds  = flag.Int("rounds", 7, "rounds; every benchmark runs once in each")
		long    = flag.String("time", "200ms", "how long each benchmark runs in a round")
		python  = flag.String("python", ".venv/bin/python", "Python with the shap library; empty: without it")
		script  = flag.String("script", "bench/python/explain.py", "script that times shap")
		bundle  = flag.String("bundle", "model/shipped/credit-default.bundle", "model that shap explains")
		rawFile = flag.String("raw", "", "file to write go test's own lines to, for benchstat")
		save    = flag.String("save", "", "file to write all figures to, as JSON")
	)
	flag.Parse()
	machine := measure.ThisMachine()
	work, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	binaries := make([]string, len(packages))
	for i, p := range packages {
		binaries[i] = filepath.Join(work, strconv.Itoa(i)+".test")
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binaries[i], p.folder)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go test -c %s: %w: %s", p.folder, err, out)
		}
	}
	var raw bytes.Buffer
	all := figures{}
	for round := range *rounds {
		for i, p := range packages {
			test := exec.CommandContext(ctx, binaries[i], "-test.run", "^$", "-test.bench", p.pattern, "-test.benchmem", "-test.benchtime", *long)
			test.Dir = p.folder
			out, err := test.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s: %w: %s", p.folder, err, out)
			}
			raw.Write(out)
			if err := all.read(bytes.NewReader(out)); err != nil {
				return fmt.Errorf("%s: %w", p.folder, err)
			}
		}
		if *python != "" {
			out, err := exec.CommandContext(ctx, *python, *script, *bundle).Output()
			var perRow map[string]float64 // microseconds
			if err = errors.Join(err, json.Unmarshal(out, &perRow)); err != nil {
				return fmt.Errorf("%s: %w", *script, err)
			}
			for batch, v := range perRow {
				all.add("shap/"+batch, "ns/row", v*1000)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d done\n", round+1, *rounds)
	}
	fmt.Printf("%s\n\nmedians of %d rounds\n\n", machine, *rounds)
	all.show(os.Stdout)
	if *rawFile != "" {
		if err := os.WriteFile(*rawFile, raw.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if *save == "" {
		return nil
	}
	return measure.Save(*save, struct {
		Machine measure.Machine `json:"machine"`
		Figures figures         `json:"figures"`
	}{machine, all})
}

// read takes the benchmarks' lines: a name, the iterations, then pairs of a value
// and its unit.
func (f figures) read(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 { // GOMAXPROCS
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("%q: %w", lines.Text(), err)
			}
			f.add(name, fields[i+1], v)
		}
	}
	return lines.Err()
}

// show writes every comparison.
func (f figures) show(w io.Writer) {
	table := measure.Table{Header: []string{"what", "µs", "allocations", "beside", "µs", "ratio"}}
	for _, c := range comparisons {
		own := f[c.benchmark][c.unit] // none, shown as –, where it could not be measured
		cells := []string{c.what, measure.Number(measure.Median(own) / 1000), measure.Number(measure.Median(f[c.benchmark]["allocs/op"])), "", "", ""}
		if c.other != "" {
			other := f[c.other][c.unit]
			ratio := measure.Ratios(own, other)
			if c.faster {
				ratio = measure.Ratios(other, own)
			}
			cells[3], cells[4], cells[5] = c.beside, measure.Number(measure.Median(other)/1000), measure.Number(measure.Median(ratio))+" ×"
			if c.faster {
				cells[5] += " faster"
			}
		}
		table.Add(cells...)
	}
	table.Write(w)
}
