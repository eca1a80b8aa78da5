package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

const (
	// quietLooks is how many windows without change Evidently is shown in each run,
	// movedLooks how many after a change: what it says of one does not depend on
	// the others.
	quietLooks = 10
	movedLooks = 5
)

// stretch is some windows of one run, as rows of the dataset.
type stretch struct {
	Feature   string    `json:"feature"` // that has moved; empty: none
	PSI       float64   `json:"psi"`
	Reference []int32   `json:"reference"`
	Windows   [][]int32 `json:"windows"`
}

// verdict is what Evidently says of one window.
type verdict struct {
	Preset  bool     `json:"preset"`  // half of the columns or more have drifted
	Columns []string `json:"columns"` // that have, each by itself
}

// evidently shows the same kind of windows to Evidently: its preset, which calls a
// dataset drifted when half of its columns are, and each column by itself.
func (p *population) evidently(ctx context.Context, s settings, python, dataset string, stderr io.Writer) ([]ruleFigures, error) {
	dir, err := os.MkdirTemp("", "bench-drift-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system clears what is left
	var plan []stretch
	for run := range s.Runs {
		plan = append(plan, p.stretch(s, run, "", 0, p.steady(), quietLooks))
		for _, psi := range shiftSizes {
			for _, name := range shiftFeatures {
				plan = append(plan, p.stretch(s, run, name, psi, p.shifted(p.feature(name), psi), movedLooks))
			}
		}
	}
	planned, answered := filepath.Join(dir, "plan.json"), filepath.Join(dir, "verdicts.json")
	if err := write(planned, plan); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, python, "bench/python/drift.py", "--data", dataset, "--plan", planned, "--out", answered)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	text, err := os.ReadFile(answered)
	if err != nil {
		return nil, err
	}
	var verdicts [][]verdict
	if err := json.Unmarshal(text, &verdicts); err != nil {
		return nil, fmt.Errorf("%s: %w", answered, err)
	}
	if len(verdicts) != len(plan) {
		return nil, fmt.Errorf("%d verdicts for %d stretches", len(verdicts), len(plan))
	}
	return []ruleFigures{
		judge("Evidently, half of the columns", plan, verdicts, func(v verdict, _ string) bool { return v.Preset }),
		judge("Evidently, any column", plan, verdicts, func(v verdict, feature string) bool {
			return slices.Contains(v.Columns, feature) || feature == "" && len(v.Columns) > 0
		}),
	}, nil
}

// stretch draws a reference and windows.
func (p *population) stretch(s settings, run int, feature string, psi float64, from *sampler, looks int) stretch {
	rng := rand.New(rand.NewPCG(s.Seed, 1<<48|uint64(run)))
	out := stretch{Feature: feature, PSI: psi, Reference: make([]int32, s.Reference)}
	for i := range out.Reference {
		out.Reference[i] = int32(rng.IntN(len(p.bins)))
	}
	counts := p.counts()
	for range looks {
		rows := make([]int32, s.Window)
		p.window(rng, from, s.Window, &counts, rows)
		out.Windows = append(out.Windows, rows)
	}
	return out
}

// judge makes the figures of a rule that looks at each window by itself.
func judge(name string, plan []stretch, verdicts [][]verdict, says func(verdict, string) bool) ruleFigures {
	out := ruleFigures{Rule: name}
	seen := map[string]map[float64][]int{}
	for i, s := range plan {
		if s.Feature == "" {
			for _, v := range verdicts[i] {
				out.Quiet.Windows++
				if says(v, "") {
					out.Quiet.Alarms++
				}
			}
			continue
		}
		after := movedLooks + 1
		for w, v := range verdicts[i] {
			if says(v, s.Feature) {
				after = w + 1
				break
			}
		}
		if seen[s.Feature] == nil {
			seen[s.Feature] = map[float64][]int{}
		}
		seen[s.Feature][s.PSI] = append(seen[s.Feature][s.PSI], after)
	}
	out.Quiet.bound()
	for _, psi := range shiftSizes {
		for _, feature := range shiftFeatures {
			out.Delays = append(out.Delays, newDelay(feature, psi, movedLooks, seen[feature][psi]))
		}
	}
	return out
}
