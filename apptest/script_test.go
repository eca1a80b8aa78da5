package apptest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fault is one thing that goes wrong on purpose.
type fault struct {
	at      time.Duration // since the beginning; later where the one before it in its lane takes longer
	kind    string
	target  int           // which of its kind, from 0
	lasting time.Duration // until it is mended; 0: nothing has to be
}

func (f fault) String() string {
	return fmt.Sprintf("%6.1fs %s %d for %.1fs", f.at.Seconds(), f.kind, f.target, f.lasting.Seconds())
}

// lane is faults that follow one another: the next begins only when the one
// before is mended. Lanes run beside each other.
type lane struct {
	name   string
	faults []fault
}

// What can go wrong with each part, and for how long.
type hazard struct {
	kind              string
	shortest, longest time.Duration
}

const (
	scorerReplicas = 3
	viewReplicas   = 2
	brokerCount    = 3
)

func scorerHazards() []hazard {
	return []hazard{
		{"kill scorer", 0, 4 * time.Second},
		{"terminate scorer", 0, 4 * time.Second},
		// Around the transaction's 8 s and the session's 10 s.
		{"pause scorer", 9 * time.Second, 15 * time.Second},
		{"second scorer", 4 * time.Second, 8 * time.Second},
	}
}

// script is what goes wrong in a run: the same for the same seed and length.
func script(seed uint64, length time.Duration) []lane {
	var lanes []lane
	part := func(name string, targets int, first, between time.Duration, hazards ...hazard) {
		r := rand.New(rand.NewPCG(seed, uint64(len(lanes))))
		l := lane{name: name}
		var bag []hazard // all of them in some order, then all again: none is left out
		for at := span(r, first/2, first); at < length; {
			if len(bag) == 0 {
				bag = slices.Clone(hazards)
				r.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
			}
			f := fault{at: at, kind: bag[0].kind, target: r.IntN(targets), lasting: span(r, bag[0].shortest, bag[0].longest)}
			bag = bag[1:]
			l.faults = append(l.faults, f)
			at += f.lasting + span(r, between/2, between)
		}
		lanes = append(lanes, l)
	}
	for i := range scorerReplicas {
		part(fmt.Sprint("scorer ", i), 1, 10*time.Second, 12*time.Second, scorerHazards()...)
		for j := range lanes[i].faults {
			lanes[i].faults[j].target = i
		}
	}
	// One lane for all brokers: never two at once.
	part("brokers", brokerCount, 15*time.Second, 16*time.Second,
		hazard{"kill broker", 3 * time.Second, 14 * time.Second},
		hazard{"kill controller", 3 * time.Second, 14 * time.Second})
	part("redis", 1, 12*time.Second, 14*time.Second,
		hazard{"kill redis", time.Second, 5 * time.Second},
		hazard{"wipe redis", 0, 0},
		hazard{"pause redis", 2 * time.Second, 8 * time.Second})
	part("views", viewReplicas, 8*time.Second, 12*time.Second,
		hazard{"kill view", 0, 4 * time.Second},
		hazard{"pause view", 4 * time.Second, 15 * time.Second})
	r := rand.New(rand.NewPCG(seed, uint64(len(lanes))))
	return append(lanes, lane{"topics", []fault{{at: span(r, length/4, length/2), kind: "add partitions", target: 1 + r.IntN(3)}}})
}

// span is a duration from … to.
func span(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)+1)).Round(100*time.Millisecond)
}

func TestAScriptIsItsSeeds(t *testing.T) {
	one, again, other := script(7, time.Minute), script(7, time.Minute), script(8, time.Minute)
	require.Equal(t, one, again)
	require.NotEqual(t, one, other)
}

// Two minutes leave nothing out, whatever the seed.
func TestAScriptHoldsEveryFault(t *testing.T) {
	for seed := range uint64(200) {
		kinds, targets := map[string]int{}, map[string]bool{}
		for _, l := range script(seed, 2*time.Minute) {
			end := time.Duration(0)
			for _, f := range l.faults {
				kinds[f.kind]++
				targets[fmt.Sprint(l.name, "/", f.target)] = true
				require.GreaterOrEqual(t, f.at, end, "%s of seed %d: one at a time", l.name, seed)
				end = f.at + f.lasting
			}
		}
		require.Len(t, kinds, 12, "seed %d: %v", seed, kinds)
		require.GreaterOrEqual(t, kinds["kill broker"]+kinds["kill controller"], 4, "seed %d", seed)
		for i := range scorerReplicas {
			require.True(t, targets[fmt.Sprintf("scorer %d/%d", i, i)], "seed %d: scorer %d", seed, i)
		}
	}
}
