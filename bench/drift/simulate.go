package main

import (
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/drift/statistic"
)

// plainPSI is what the plain rule calls drift, on each window by itself.
const plainPSI = 0.1

// starter begins a rule against a reference.
type starter func(*drift.Champion) rule

// rule looks at one window after the other and says which streams have moved.
type rule interface {
	look(counts *[streams][]int64) (moved [streams]bool)
}

// deciding is the product's test.
type deciding struct {
	tests []sequential.Test
}

func newDeciding(c *drift.Champion) rule {
	_, cells := judging.Cells(c)
	d := &deciding{tests: make([]sequential.Test, len(cells))}
	for i := range cells {
		d.tests[i].Cells = cells[i]
	}
	return d
}

func (d *deciding) look(counts *[streams][]int64) (moved [streams]bool) {
	for k := range d.tests {
		moved[k] = d.tests[k].Add(counts[k]).Shifted()
	}
	return moved
}

// plain is PSI above 0.1 on the last window.
type plain struct {
	references [streams][]int64
}

func newPlain(c *drift.Champion) rule {
	p := &plain{}
	for k := range c.Reference.Features {
		f := &c.Reference.Features[k]
		p.references[k] = append(slices.Clone(f.Counts), f.Missing, f.OutOfRange)
	}
	return p
}

// look leaves out score and decisions: the rule is for features.
func (p *plain) look(counts *[streams][]int64) (moved [streams]bool) {
	for k := range streams - 2 {
		moved[k] = statistic.PSI(p.references[k], counts[k]) > plainPSI
	}
	return moved
}

// settings of a simulation.
type settings struct {
	Runs      int    `json:"runs"`
	Reference int    `json:"reference_rows"`
	Window    int    `json:"window"`
	Longest   int    `json:"longest_run"` // windows after which a run without alarm ends
	Seed      uint64 `json:"seed"`
}

// runLength is how long a rule runs until its first false alarm.
type runLength struct {
	Alarms  int     `json:"false_alarms"`
	Windows int     `json:"windows"`
	Mean    float64 `json:"mean_run"`       // windows per false alarm, all of them where there was none
	Lower   float64 `json:"mean_run_lower"` // 95 % lower bound
}

// inParallel runs f for every run, each with a source of its own.
func (s settings) inParallel(stream uint64, workers int, f func(run int, rng *rand.Rand)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for run := range next {
				f(run, rand.New(rand.NewPCG(s.Seed, stream<<32|uint64(run))))
			}
		}()
	}
	for run := range s.Runs {
		next <- run
	}
	close(next)
	wg.Wait()
}

// quietRuns measures how long a rule stays silent where nothing has changed: each
// run draws a reference and then windows until the rule speaks.
func (p *population) quietRuns(s settings, workers int, begin starter) runLength {
	lengths, alarms := integers(s.Runs), integers(s.Runs)
	s.inParallel(0, workers, func(run int, rng *rand.Rand) {
		r, steady, counts := begin(p.reference(rng, s.Reference)), p.steady(), p.counts()
		for lengths[run] < s.Longest && alarms[run] == 0 {
			p.window(rng, steady, s.Window, &counts, nil)
			lengths[run]++
			if r.look(&counts) != ([streams]bool{}) {
				alarms[run] = 1
			}
		}
	})
	var out runLength
	for i := range lengths {
		out.Windows += lengths[i]
		out.Alarms += alarms[i]
	}
	out.bound()
	return out
}

// bound computes the mean run. 2·windows/mean is chi-square of at most
// 2·(alarms+1) degrees of freedom for run lengths that are about exponential, also
// when some were cut off.
func (r *runLength) bound() {
	r.Mean = float64(r.Windows) / float64(max(1, r.Alarms))
	r.Lower = 2 * float64(r.Windows) / distuv.ChiSquared{K: 2 * float64(r.Alarms+1)}.Quantile(0.95)
}

func integers(n int) []int { return make([]int, n) }

// delay is how many windows a rule takes to see a shift.
type delay struct {
	Feature string  `json:"feature"`
	PSI     float64 `json:"psi"`
	Median  float64 `json:"median"` // windows, the first one after the change is 1
	Late    float64 `json:"p90"`
	Looked  int     `json:"looked"` // windows after the change that were looked at
	Missed  int     `json:"missed"` // runs that did not see it in those
}

// longestDelay is how many windows after a change are looked at.
const longestDelay = 60

// delays measures how long a rule takes to see that one feature has moved, from
// when it has been running for a while.
func (p *population) delays(s settings, workers, feature int, psi float64, begin starter) delay {
	after := integers(s.Runs)
	moved := p.shifted(feature, psi)
	s.inParallel(1+uint64(feature)<<8|uint64(psi*1000)<<16, workers, func(run int, rng *rand.Rand) {
		r, steady, counts := begin(p.reference(rng, s.Reference)), p.steady(), p.counts()
		for range sequential.Blocks {
			p.window(rng, steady, s.Window, &counts, nil)
			r.look(&counts)
		}
		after[run] = longestDelay + 1
		for w := 1; w <= longestDelay; w++ {
			p.window(rng, moved, s.Window, &counts, nil)
			if r.look(&counts)[feature] {
				after[run] = w
				break
			}
		}
	})
	return newDelay(p.model.Reference.Features[feature].Name, psi, longestDelay, after)
}

// newDelay sums up after how many windows each run saw the shift; more than it
// looked at: not at all.
func newDelay(feature string, psi float64, looked int, after []int) delay {
	slices.Sort(after)
	d := delay{Feature: feature, PSI: psi, Looked: looked}
	d.Median = float64(after[(len(after)-1)/2]+after[len(after)/2]) / 2
	d.Late = float64(after[len(after)*9/10])
	for _, n := range after {
		if n > looked {
			d.Missed++
		}
	}
	return d
}
