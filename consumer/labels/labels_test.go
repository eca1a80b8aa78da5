package labels

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func find(o Outcome, decisions ...Decision) (Decision, Found) {
	slices.SortFunc(decisions, func(a, b Decision) int { return b.Compare(a) })
	return Find(o, slices.Values(decisions))
}

func TestFind_TakesTheLastDecisionBeforeTheOutcome(t *testing.T) {
	jan, feb, mar := Decision{Decided: 10, Appended: 11}, Decision{Decided: 20, Appended: 21, Offset: 1}, Decision{Decided: 30, Appended: 31, Offset: 2}
	f := func(want Decision, found Found, o Outcome) {
		t.Helper()
		got, is := find(o, feb, mar, jan)
		require.Equal(t, found, is)
		require.Equal(t, want, got)
	}
	f(jan, Matched, Outcome{Observed: 19, Appended: 100})
	f(feb, Matched, Outcome{Observed: 29, Appended: 100})
	f(mar, Matched, Outcome{Observed: 99, Appended: 100})
	f(mar, Matched, Outcome{Observed: 30, Appended: 31}) // the same moment
	f(jan, Matched, Outcome{Observed: 99, Appended: 20}) // the log had not taken the others
	f(Decision{}, Before, Outcome{Observed: 9, Appended: 100})
	f(Decision{}, Before, Outcome{Observed: 9, Appended: 11})
	f(Decision{}, Undecided, Outcome{Observed: 99, Appended: 10})
	_, is := find(Outcome{Observed: 99, Appended: 99})
	require.Equal(t, Undecided, is)
}

func TestFind_KnowsTheLastEight(t *testing.T) {
	var all []Decision
	for i := range int64(2 * Kept) {
		all = append(all, Decision{Decided: schemas.Timestamp(i), Appended: i, Offset: i})
	}
	for last := range int64(2 * Kept) {
		for observed := range last + 1 {
			d, is := find(Outcome{Observed: schemas.Timestamp(observed), Appended: last}, all...)
			if last-observed < Kept {
				require.Equal(t, Matched, is)
				require.Equal(t, observed, d.Offset)
			} else {
				require.Equal(t, TooOld, is)
			}
		}
	}
	forgotten := Decision{Decided: 5, Appended: 6, Partition: Forgotten}
	kept := Decision{Decided: 10, Appended: 10}
	for o, want := range map[Outcome]Found{{12, 12}: Matched, {9, 12}: TooOld, {4, 12}: Before, {9, 5}: Undecided} {
		_, is := find(o, kept, forgotten)
		require.Equal(t, want, is, "%v", o)
	}
}

// The rule as it is written, word by word.
func TestFind_IsTheRule(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 20_000 {
		var all []Decision
		for i := range random.IntN(14) {
			all = append(all, Decision{Decided: schemas.Timestamp(random.IntN(12)), Appended: int64(random.IntN(12)), Partition: int32(random.IntN(3)), Offset: int64(i)})
		}
		o := Outcome{Observed: schemas.Timestamp(random.IntN(14) - 1), Appended: int64(random.IntN(14) - 1)}
		had := slices.DeleteFunc(slices.Clone(all), func(d Decision) bool { return d.Appended > o.Appended })
		before := slices.DeleteFunc(slices.Clone(had), func(d Decision) bool { return d.Decided > o.Observed })
		got, is := find(o, all...)
		switch {
		case len(had) == 0:
			require.Equal(t, Undecided, is)
		case len(before) == 0:
			require.Equal(t, Before, is)
		default:
			last := slices.MaxFunc(before, Decision.Compare)
			newer := 0
			for _, d := range had {
				if d.Compare(last) > 0 {
					newer++
				}
			}
			if newer >= Kept {
				require.Equal(t, TooOld, is)
				continue
			}
			require.Equal(t, Matched, is)
			require.Equal(t, last, got)
		}
	}
}
