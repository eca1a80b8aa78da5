package sequential

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
)

func TestRareBinsShareACell(t *testing.T) {
	t.Parallel()
	c := Bins([]int64{5, 500, 0, 490, 5, 0})
	require.Equal(t, []int{0, 1, 0, 2, 0, 0}, c.of)
	require.Equal(t, []int64{10, 500, 490}, c.reference)
	require.Equal(t, []int64{1 + 3 + 5 + 6, 2, 4}, c.Sum([]int64{1, 2, 3, 4, 5, 6}))
}

func TestNeighboursHoldTheirPart(t *testing.T) {
	t.Parallel()
	fine := make([]int64, 100)
	for i := range fine {
		fine[i] = int64(i)
	}
	c := Neighbours(fine, 10)
	require.True(t, slices.IsSorted(c.of))
	for i, n := range c.reference {
		require.GreaterOrEqual(t, n*10, int64(99*100/2), i)
	}
	require.Equal(t, len(c.reference)-1, c.Of(99))
	one := Neighbours([]int64{0, 0, 7}, 5)
	require.Equal(t, []int64{7}, one.reference)
	require.Equal(t, []int64{0}, Neighbours([]int64{0, 0}, 5).reference, "nothing is one cell")
}

func TestWhatTheReferenceDoesNotKnowIsNoEvidence(t *testing.T) {
	t.Parallel()
	known := Known([]int64{5000, 5000})
	evidence, psi := known.compare([]int64{600, 400})
	require.Greater(t, evidence, 4.0)
	require.Greater(t, psi, Floor)
	within := Known([]int64{5000, 5000}, Uncertain{In: 1, Other: 0, Most: 1200})
	evidence, psi = within.compare([]int64{600, 400})
	require.Less(t, evidence, 0.1)
	require.Zero(t, psi)
	evidence, _ = within.compare([]int64{400, 600}) // the other way it does
	require.Greater(t, evidence, 4.0)
	require.Equal(t, []int64{5000, 5000}, within.reference, "it is left as it was")
}

func TestAlarmsEndAfterSomeCalm(t *testing.T) {
	t.Parallel()
	a := Alarm{}
	require.Equal(t, Same, a.Look(false, false, true))
	require.Equal(t, Fires, a.Look(true, false, true))
	require.Equal(t, Same, a.Look(true, false, true), "it fires once")
	for range Calm - 1 {
		require.Equal(t, Same, a.Look(false, true, true))
	}
	require.Equal(t, Same, a.Look(false, false, true), "it is back")
	for range Calm - 1 {
		require.Equal(t, Same, a.Look(false, true, true))
	}
	require.Equal(t, Same, a.Look(false, true, false), "too soon")
	require.Equal(t, Resolves, a.Look(false, true, true))
	require.Equal(t, Alarm{}, a)
}

func TestNothingIsNoEvidence(t *testing.T) {
	t.Parallel()
	test := Test{Cells: Bins([]int64{100, 200, 300})}
	require.Equal(t, Reading{Look: Look{Required: Required(0)}}, test.Read())
	require.Zero(t, test.Add([]int64{0, 0, 0}).Evidence)
	require.True(t, test.Cells.Fit(test.Past))
	require.False(t, test.Cells.Fit([][]int64{{1}}))
}

// draw counts n values of a distribution given by weights.
func draw(rng *rand.Rand, weights []float64, n int) []int64 {
	sums := make([]float64, len(weights))
	sum := 0.0
	for i, w := range weights {
		sum += w
		sums[i] = sum
	}
	counts := make([]int64, len(weights))
	for range n {
		i, _ := slices.BinarySearch(sums, rng.Float64()*sum)
		counts[min(i, len(counts)-1)]++
	}
	return counts
}

// tilted are weights that have moved by a PSI: times exp(θ·bin).
func tilted(weights []float64, psi float64) []float64 {
	moved := func(theta float64) (out []float64, got float64) {
		total, sum := 0.0, 0.0
		for b, w := range weights {
			total += w
			sum += w * math.Exp(theta*float64(b)/float64(len(weights)))
		}
		for b, w := range weights {
			p, q := w/total, w*math.Exp(theta*float64(b)/float64(len(weights)))/sum
			out = append(out, q)
			if p > 0 {
				got += (q - p) * math.Log(q/p)
			}
		}
		return out, got
	}
	low, high := 0.0, 50.0
	for range 60 {
		if _, got := moved((low + high) / 2); got < psi {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	out, _ := moved(low)
	return out
}

func TestAShiftIsGoneBelowWatch(t *testing.T) {
	t.Parallel()
	require.True(t, Reading{Recent: Watch - 0.1}.Gone())
	for _, evidence := range []float64{Watch, (Watch + Act) / 2, Act} {
		require.False(t, Reading{Recent: evidence}.Gone(), "what would not fire is not over for that")
	}
}

// What hovers around the floor does not fire, and does not end what has fired.
func TestAShiftBetweenHalfTheFloorAndTheFloorIsNotGone(t *testing.T) {
	t.Parallel()
	_, weights := weightsOf(t)
	rng := rand.New(rand.NewPCG(5, 3))
	w := weights[0]
	test := Test{Cells: Bins(draw(rng, w, 2_000_000))}
	r := test.Add(draw(rng, tilted(w, 0.75*Floor), 200_000))
	require.Zero(t, r.Evidence)
	require.Greater(t, r.Recent, float64(Watch))
	require.False(t, r.Gone())
	test.Forget()
	require.True(t, test.Add(draw(rng, tilted(w, Floor/4), 200_000)).Gone())
}

// weightsOf are the shipped reference's features as distributions.
func weightsOf(t *testing.T) (names []string, weights [][]float64) {
	_, r, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	for _, f := range r.Features {
		w := make([]float64, len(f.Counts))
		for b, c := range f.Counts {
			w[b] = float64(c)
		}
		names, weights = append(names, f.Name), append(weights, w)
	}
	return names, weights
}

const referenceRows = 24_000

// A threshold that is too low fails here, one that is too high below. The real
// figures, on whole rows and many more of them, are make bench-drift's.
func TestNothingIsSeenWhereNothingHasChanged(t *testing.T) {
	t.Parallel()
	const runs, windows = 4, 200
	_, weights := weightsOf(t)
	for run := range runs {
		rng := rand.New(rand.NewPCG(7, uint64(run)))
		tests := make([]Test, len(weights))
		for k, w := range weights {
			tests[k].Cells = Bins(draw(rng, w, referenceRows))
		}
		most := 0.0
		for range windows {
			for k, w := range weights {
				most = max(most, tests[k].Add(draw(rng, w, BlockSize)).Evidence)
			}
		}
		require.Less(t, most, float64(Act), "run %d", run)
	}
}

// Nothing rests on a block's size but that it is BlockSize at least: how fast a
// stream is, and how much of it comes at once, makes no false alarm.
func TestBlocksOfAnySizeAreQuietWhereNothingHasChanged(t *testing.T) {
	t.Parallel()
	const blocks = 60
	_, weights := weightsOf(t)
	rng := rand.New(rand.NewPCG(9, 9))
	tests := make([]Test, len(weights))
	for k, w := range weights {
		tests[k].Cells = Bins(draw(rng, w, referenceRows))
	}
	most := 0.0
	for range blocks {
		size := int(BlockSize * math.Pow(40, rng.Float64())) // 500 … 20,000
		for k, w := range weights {
			most = max(most, tests[k].Add(draw(rng, w, size)).Evidence)
		}
	}
	require.Less(t, most, float64(Act))
}

func TestAShiftIsSeenSoonAndSeenToEnd(t *testing.T) {
	t.Parallel()
	names, weights := weightsOf(t)
	const runs = 9
	for _, c := range []struct {
		psi float64
		in  int
	}{{0.1, 2}, {0.03, 10}} {
		for _, name := range []string{"limit_bal", "pay_0", "bill_amt1"} {
			w := weights[slices.Index(names, name)]
			moved := tilted(w, c.psi)
			var after []int
			for run := range runs {
				rng := rand.New(rand.NewPCG(11, uint64(run)))
				test := Test{Cells: Bins(draw(rng, w, referenceRows))}
				for range Blocks {
					test.Add(draw(rng, w, BlockSize))
				}
				n := 1
				for ; n < 100 && test.Add(draw(rng, moved, BlockSize)).Evidence < Act; n++ {
				}
				after = append(after, n)
				calm := 0
				for calm < 40 && !test.Add(draw(rng, w, BlockSize)).Gone() {
					calm++
				}
				require.LessOrEqual(t, calm, 2*recent, "%s by %v: it ends", name, c.psi)
			}
			slices.Sort(after)
			require.LessOrEqual(t, after[len(after)/2], c.in, "%s by %v: %v", name, c.psi, after)
		}
	}
}

// However many decisions there are, a difference below the floor is none.
func TestWhatIsTooSmallToMatterIsNotTold(t *testing.T) {
	t.Parallel()
	_, weights := weightsOf(t)
	rng := rand.New(rand.NewPCG(3, 3))
	w := weights[0]
	test := Test{Cells: Bins(draw(rng, w, 10_000_000))}
	moved := tilted(w, Floor/2)
	for range 4 {
		r := test.Add(draw(rng, moved, 200_000))
		require.Zero(t, r.Evidence)
		require.InDelta(t, Floor/2, r.PSI, Floor/10)
	}
}

// A small shift takes more evidence, a smaller one yet more.
func TestRequired_RisesTowardsTheFloor(t *testing.T) {
	t.Parallel()
	require.Equal(t, float64(Act), Required(1))
	require.Equal(t, float64(Act), Required(Full))
	require.InDelta(t, 16, Required(Full/2), 1e-12)
	require.InDelta(t, 20, Required(Floor), 1e-12)
	require.InDelta(t, 20, Required(0), 1e-12)
	cells := Known([]int64{12_000, 12_000})
	require.False(t, cells.Look([]int64{542, 768}).Shifted(), "PSI 0.03 and evidence 9: not yet")
	require.True(t, cells.Look([]int64{542, 768}).Worth())
	require.GreaterOrEqual(t, cells.Look([]int64{542, 768}).Evidence, float64(Act))
	require.True(t, cells.Look([]int64{2_168, 3_072}).Shifted(), "four times the decisions show it")
	require.True(t, cells.Look([]int64{470, 840}).Shifted(), "and a larger one at once")
	none := cells.Look([]int64{24_500, 23_500})
	require.Zero(t, none.Evidence, "below the floor it counts for nothing, however certain")
	require.Less(t, none.PSI, Floor)
}
