package producer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// teller runs outcomes in a bubble of controlled time and notes what is told when.
type teller struct {
	*outcomes
	began time.Time
	stop  context.CancelFunc

	seen      sync.Mutex // guards what follows
	said      []string   // "id@seconds"
	over      bool
	undecided int
}

func (k *teller) told() []string {
	k.seen.Lock()
	defer k.seen.Unlock()
	return slices.Clone(k.said)
}

func (k *teller) ended() (over bool, undecided int) {
	k.seen.Lock()
	defer k.seen.Unlock()
	return k.over, k.undecided
}

const patience = 30 * time.Second

func newTeller(t *testing.T, approvedOnly bool, limit int) *teller {
	return tellerOf(t, newOutcomes(10*time.Second, approvedOnly, limit))
}

func tellerOf(t *testing.T, o *outcomes) *teller {
	k := &teller{outcomes: o, began: time.Now()}
	ctx, stop := context.WithCancel(t.Context())
	k.stop = stop
	go func() {
		n := k.run(ctx, patience, func(due []outcome) {
			k.seen.Lock()
			defer k.seen.Unlock()
			for _, o := range due {
				k.said = append(k.said, fmt.Sprintf("%s@%.0f", o.id, time.Since(k.began).Seconds()))
			}
		})
		k.seen.Lock()
		defer k.seen.Unlock()
		k.over, k.undecided = true, n
	}()
	return k
}

func (k *teller) requireEnded(t *testing.T, undecided int, why ...any) {
	t.Helper()
	over, n := k.ended()
	require.True(t, over, why...)
	require.Equal(t, undecided, n, why...)
}

func (k *teller) requireOngoing(t *testing.T, why ...any) {
	t.Helper()
	over, _ := k.ended()
	require.False(t, over, why...)
}

// at lets time pass until so many seconds after the beginning.
func (k *teller) at(seconds int) {
	time.Sleep(time.Until(k.began.Add(time.Duration(seconds) * time.Second)))
	synctest.Wait()
}

func TestOutcomesAreToldWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newTeller(t, false, 100)
		k.add("a", 0, time.Now())
		k.at(3)
		k.add("b", 1, time.Now())
		k.add("c", 0, time.Now())
		k.at(9)
		require.Empty(t, k.told())
		held, dropped := k.counts()
		require.Equal(t, 3, held)
		require.Zero(t, dropped)
		k.at(12)
		require.Equal(t, []string{"a@10"}, k.told())
		k.end()
		k.at(20)
		require.Equal(t, []string{"a@10", "b@13", "c@13"}, k.told())
		k.requireEnded(t, 0, "all are told")
		held, dropped = k.counts()
		require.Zero(t, held)
		require.Zero(t, dropped)
	})
}

func TestManyMoreApplicationsMakeAnOutcomeDueEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutcomes(10*time.Second, true, 100)
		o.within = 3
		k := tellerOf(t, o)
		add := func(ids ...string) {
			for _, id := range ids {
				k.add(id, 1, time.Now())
				synctest.Wait()
			}
		}
		add("a", "b", "c")
		k.decided("a", true)
		k.at(1)
		require.Empty(t, k.told(), "only two came after it")
		add("d")
		require.Equal(t, []string{"a@1"}, k.told())
		add("e", "f")
		k.at(2)
		k.decided("c", true)
		k.decided("e", true)
		k.decided("d", false)
		synctest.Wait()
		require.Equal(t, []string{"a@1", "c@2"}, k.told(), "decided after it was due: told at once")
		k.decided("b", false)
		k.decided("f", false)
		k.end()
		k.at(11)
		require.Equal(t, []string{"a@1", "c@2", "e@11"}, k.told(), "nothing more came: the time counts")
		k.requireEnded(t, 0)
	})
	synctest.Test(t, func(t *testing.T) {
		o := newOutcomes(10*time.Second, false, 100)
		o.within, o.rate = 1_000, 5
		k := tellerOf(t, o)
		for i := range 1_010 {
			k.add(fmt.Sprint(i), 1, time.Now())
		}
		synctest.Wait()
		require.Equal(t, []string{"0@0", "1@0", "2@0", "3@0", "4@0", "5@0"}, k.told(), "those count that are not told, too")
	})
}

func TestOutcomesAreToldOfSoManyASecondAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutcomes(10*time.Second, false, 10_000)
		o.rate = 50
		k := tellerOf(t, o)
		f := func(perSecond, seconds, want int) {
			t.Helper()
			before, _ := k.counts()
			for i := range perSecond * seconds {
				k.add(fmt.Sprint(perSecond, "-", i), 1, time.Now())
				time.Sleep(time.Second / time.Duration(perSecond))
			}
			held, dropped := k.counts()
			require.InDelta(t, want, held-before, 2)
			require.Zero(t, dropped, "nobody waits for it")
		}
		f(20, 3, 60)
		f(500, 3, 50+3*50) // and what may come at once
	})
}

func TestOnlyOutcomesOfApprovedApplicationsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newTeller(t, true, 100)
		for _, id := range []string{"early", "declined", "late", "late declined"} {
			k.add(id, 1, time.Now())
		}
		k.decided("nobody's", true)
		k.at(1)
		k.decided("early", true)
		k.decided("declined", false)
		k.decided("declined", true) // the first decision counts
		k.at(15)
		require.Equal(t, []string{"early@10"}, k.told(), "approved in time: told when due")
		k.end()
		k.at(20)
		k.decided("late", true)
		k.decided("late", true)
		synctest.Wait()
		require.Equal(t, []string{"early@10", "late@20"}, k.told(), "approved after it was due: told at once")
		k.requireOngoing(t, "one is not decided")
		k.decided("late declined", false)
		synctest.Wait()
		k.requireEnded(t, 0)
		_, dropped := k.counts()
		require.Zero(t, dropped, "declined ones are not outcomes that were given up")
	})
}

func TestWhatIsNeverDecidedIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newTeller(t, true, 100)
		for _, id := range []string{"a", "b", "c"} {
			k.add(id, 1, time.Now())
		}
		k.at(300)
		k.requireOngoing(t, "more may be added")
		k.end()
		k.at(325)
		k.decided("b", true) // a decision shows that somebody is deciding
		k.at(325 + 29)
		k.requireOngoing(t)
		k.at(325 + 30)
		k.requireEnded(t, 2)
		require.Equal(t, []string{"b@325"}, k.told())
		_, dropped := k.counts()
		require.Equal(t, int64(2), dropped)
	})
}

func TestPastTheBoundTheOldestAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newTeller(t, true, 3)
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			k.add(id, 0, time.Now())
		}
		held, dropped := k.counts()
		require.Equal(t, 3, held)
		require.Equal(t, int64(2), dropped)
		for _, id := range []string{"e", "a", "d", "c", "b"} {
			k.decided(id, true)
		}
		k.end()
		k.at(11)
		require.Equal(t, []string{"c@10", "d@10", "e@10"}, k.told())
		k.requireEnded(t, 0)
	})
}

func TestStoppingGivesUpWhatIsNotDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newTeller(t, false, 100)
		k.add("a", 0, time.Now())
		k.at(5)
		k.add("b", 0, time.Now())
		k.at(12)
		k.stop()
		synctest.Wait()
		k.requireEnded(t, 0)
		require.Equal(t, []string{"a@10"}, k.told())
		_, dropped := k.counts()
		require.Equal(t, int64(1), dropped)
	})
}

// Whatever the order of things, every application is told once, declined, or
// counted as given up.
func TestNoOutcomeIsLostOrToldTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			limit := 1 + rng.IntN(40)
			k := newTeller(t, true, limit)
			var (
				added, declined []string
				undecided       []string
			)
			for range 300 {
				switch rng.IntN(4) {
				case 0, 1:
					id := fmt.Sprint("n", len(added))
					added = append(added, id)
					undecided = append(undecided, id)
					k.add(id, 0, time.Now())
				case 2:
					if len(undecided) > 0 {
						i := rng.IntN(len(undecided))
						id := undecided[i]
						undecided = append(undecided[:i], undecided[i+1:]...)
						approve := rng.IntN(2) == 0
						_, before := k.counts()
						held, _ := k.counts()
						k.decided(id, approve)
						if after, dropped := k.counts(); !approve && after == held-1 && dropped == before {
							declined = append(declined, id)
						}
					}
				case 3:
					time.Sleep(time.Duration(rng.IntN(4_000)) * time.Millisecond)
					synctest.Wait()
				}
			}
			k.end()
			time.Sleep(time.Hour)
			synctest.Wait()
			over, _ := k.ended()
			require.True(t, over, "seed %d", seed)
			seen := map[string]bool{}
			for _, told := range k.told() {
				require.False(t, seen[told], "seed %d: %s twice", seed, told)
				seen[told] = true
			}
			_, dropped := k.counts()
			require.Equal(t, len(added), len(k.told())+len(declined)+int(dropped), "seed %d: %d told, %d declined, %d given up", seed, len(k.told()), len(declined), dropped)
		})
	}
}
