package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/creditstream/creditstream/bench/measure"
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

// counted is what it took to compare many decisions with a reference.
type counted struct {
	What    string  `json:"what"`
	Rows    int     `json:"rows"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	MiB     int64   `json:"peak_mib"` // of the whole process
}

// count counts the dataset's rows again and again as decisions that were decoded,
// and compares what was counted with the reference: what aggregator and evaluator
// do, without Kafka.
func count(dataset string, rows int) (counted, error) {
	p, err := readPopulation(dataset, shipped.Bundle)
	if err != nil {
		return counted{}, err
	}
	predictions := make([]schemas.Prediction, len(p.features))
	for i := range predictions {
		predictions[i] = schemas.Prediction{
			Features: p.features[i], ModelVersion: p.model.Version, Route: schemas.RouteChampion, Channel: schemas.ChannelStream,
			DefaultProbability: p.probabilities[i], Decision: [...]string{schemas.Approve, schemas.Refer, schemas.Decline}[p.bins[i][streams-1]],
		}
	}
	bins := counting.NewBins(p.model.Reference)
	champion := &drift.Champion{ModelVersion: p.model.Version, Digest: bins.Reference, Reference: p.model.Reference, Policy: p.policy}
	runtime.GC()
	began, used := time.Now(), measure.CPU(os.Getpid())
	counter := counting.NewCounter(bins)
	for i, at := 0, 0; i < rows; i++ {
		counter.Add(&predictions[at])
		if at++; at == len(predictions) {
			at = 0
		}
	}
	pane, tally := &drift.Pane{}, judging.NewTally(champion.Reference)
	counter.Fill(pane)
	if !tally.Add(pane, champion) {
		return counted{}, fmt.Errorf("the pane is not of the reference that it was counted over")
	}
	status := judging.Compare("all", tally, champion, judging.FourFifths)
	took, spent := time.Since(began), measure.CPU(os.Getpid())-used
	if status.Decisions != int64(rows) {
		return counted{}, fmt.Errorf("%d decisions were counted, expected %d", status.Decisions, rows)
	}
	return counted{"creditstream, from decoded decisions", rows, took.Seconds(), spent.Seconds(), measure.PeakMemory(os.Getpid()) >> 20}, nil
}

// countBeside measures counting in a process of its own, and Evidently's preset on
// as many of the same rows.
func countBeside(ctx context.Context, dataset, python string, rows int, stderr io.Writer) ([]counted, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	commands := []*exec.Cmd{
		exec.CommandContext(ctx, self, "-data", dataset, "-count-only", strconv.Itoa(rows)),
		exec.CommandContext(ctx, python, "bench/python/drift.py", "--data", dataset, "--count", strconv.Itoa(rows)),
	}
	var all []counted
	for _, cmd := range commands {
		cmd.Stderr = stderr
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cmd, err)
		}
		var one counted
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", cmd, err)
		}
		all = append(all, one)
	}
	return all, nil
}
