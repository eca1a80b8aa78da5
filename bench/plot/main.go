// Command plot draws the stream's figures as one SVG: what bench/stream wrote to
// stream.json and latency.json.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/creditstream/creditstream/bench/measure"
)

// contestants are drawn in this order, each in its colour.
var contestants = []struct{ name, colour string }{
	{"copy", "#9aa5b1"},
	{"creditstream", "#1f6feb"},
	{"python", "#d08700"},
}

// stream is the part of bench/stream's JSON that is drawn.
type stream struct {
	Throughput []struct {
		Records int `json:"records"`
		Runs    map[string][]struct {
			PerSecond float64 `json:"per_second"`
			CPU       float64 `json:"cpu_seconds_per_million"`
			Broker    float64 `json:"broker_cpu_seconds_per_million"`
		} `json:"runs"`
	} `json:"throughput"`
	Latency []struct {
		Rate int `json:"rate"`
		Runs map[string][]struct {
			P50 float64 `json:"p50_ms"`
			P99 float64 `json:"p99_ms"`
		} `json:"runs"`
	} `json:"latency"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plot FOLDER FILE.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(folder, file string) error {
	backlog, err := read(filepath.Join(folder, "stream.json"))
	if err != nil {
		return err
	}
	live, err := read(filepath.Join(folder, "latency.json"))
	if err != nil {
		return err
	}
	if len(backlog.Throughput) == 0 || len(live.Latency) == 0 {
		return errors.New("stream.json has no throughput, or latency.json no latency")
	}
	var d drawing
	d.line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 300" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`)
	d.line(`<rect width="960" height="300" fill="#ffffff"/>`)
	of := func(figure func(name string) []float64) []bar {
		var bars []bar
		for _, c := range contestants {
			bars = append(bars, bar{c.name, c.colour, measure.Median(figure(c.name))})
		}
		return bars
	}
	runs := backlog.Throughput[0].Runs
	d.bars(40, "records/s, backlog of "+measure.Number(float64(backlog.Throughput[0].Records)), of(func(name string) (v []float64) {
		for _, r := range runs[name] {
			v = append(v, r.PerSecond)
		}
		return v
	}))
	d.bars(350, "CPU µs per record, own and the broker's", of(func(name string) (v []float64) {
		for _, r := range runs[name] {
			v = append(v, r.CPU+r.Broker)
		}
		return v
	}))
	d.line(`<text x="660" y="24" font-weight="600">ms until readable (committed), p50 to p99</text>`)
	highest := 0.0
	for _, l := range live.Latency {
		for _, c := range contestants {
			for _, r := range l.Runs[c.name] {
				highest = max(highest, r.P99)
			}
		}
	}
	for i, l := range live.Latency {
		left := 675 + i*95
		for k, c := range contestants {
			var p50, p99 []float64
			for _, r := range l.Runs[c.name] {
				p50, p99 = append(p50, r.P50), append(p99, r.P99)
			}
			low, high := measure.Median(p50), measure.Median(p99)
			if math.IsNaN(low) {
				continue
			}
			x, top, bottom := left+k*24, height(high, highest), height(low, highest)
			d.line(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="10" stroke-linecap="round" opacity="0.55"/>`, x, x, bottom, top, c.colour)
			d.line(`<circle cx="%d" cy="%.1f" r="5" fill="%s"/>`, x, bottom, c.colour)
			d.line(`<text x="%d" y="%.1f" text-anchor="middle" font-size="10">%s</text>`, x, top-9, measure.Number(high))
		}
		d.line(`<text x="%d" y="264" text-anchor="middle">%s/s</text>`, left+24, measure.Number(float64(l.Rate)))
	}
	d.line(`<line x1="650" x2="945" y1="245" y2="245" stroke="#d0d7de"/>`)
	for i, c := range contestants {
		d.line(`<rect x="%d" y="280" width="12" height="12" fill="%s"/><text x="%d" y="290">%s</text>`, 40+i*110, c.colour, 57+i*110, c.name)
	}
	d.line(`</svg>`)
	return os.WriteFile(file, []byte(d.String()), 0o644)
}

func read(path string) (s stream, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// drawing is an SVG in the making.
type drawing struct{ strings.Builder }

func (d *drawing) line(format string, args ...any) { fmt.Fprintf(&d.Builder, format+"\n", args...) }

type bar struct {
	name, colour string
	value        float64
}

// height is where a value lies between the axis, at 245, and the top, at 60.
func height(v, highest float64) float64 { return 245 - 185*v/highest }

// bars draws a panel that begins at x.
func (d *drawing) bars(x int, title string, bars []bar) {
	d.line(`<text x="%d" y="24" font-weight="600">%s</text>`, x, title)
	highest := 0.0
	for _, b := range bars {
		if b.value > highest { // not so for NaN, where it did not take part
			highest = b.value
		}
	}
	for i, b := range bars {
		if math.IsNaN(b.value) {
			continue
		}
		left, top := x+i*85, height(b.value, highest)
		d.line(`<rect x="%d" y="%.1f" width="64" height="%.1f" fill="%s"/>`, left, top, 245-top, b.colour)
		d.line(`<text x="%d" y="%.1f" text-anchor="middle">%s</text>`, left+32, top-6, measure.Number(b.value))
		d.line(`<text x="%d" y="264" text-anchor="middle">%s</text>`, left+32, b.name)
	}
	d.line(`<line x1="%d" x2="%d" y1="245" y2="245" stroke="#d0d7de"/>`, x-5, x+245)
}
