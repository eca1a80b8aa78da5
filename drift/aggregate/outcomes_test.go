package aggregate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// decisions is what is known of decisions, in memory.
type decisions struct {
	mu      sync.Mutex // guards what follows
	known   map[string]counting.Claimed
	claims  map[string]string // by application
	passed  map[int32]int64
	log     Log // that passed is of; zero: any
	asked   map[Log]bool
	down    error
	refused int                            // claims that are still to fail
	states  map[string]counting.ClaimState // of applications whose outcomes match nothing
}

func newDecisions() *decisions {
	return &decisions{known: map[string]counting.Claimed{}, claims: map[string]string{}, passed: map[int32]int64{}, asked: map[Log]bool{}}
}

// Claim is part of Decisions.
func (d *decisions) Claim(_ context.Context, claims []counting.Claim) ([]counting.Claimed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return nil, d.down
	}
	answers := make([]counting.Claimed, len(claims))
	for i, c := range claims {
		if d.refused > 0 && i == len(claims)/2 { // in the middle of it
			d.refused--
			return nil, errors.New("the connection breaks")
		}
		if state, ok := d.states[c.ApplicationID]; ok {
			answers[i].State = state
			continue
		}
		known, ok := d.known[c.ApplicationID]
		if !ok {
			continue
		}
		if d.claims[c.ApplicationID] == "" {
			d.claims[c.ApplicationID] = c.Outcome
		}
		if known.State = counting.Matched; d.claims[c.ApplicationID] != c.Outcome {
			known.State = counting.Repeated
		}
		answers[i] = known
	}
	return answers, nil
}

// Passed is part of Decisions.
func (d *decisions) Passed(_ context.Context, log Log, ends map[int32]int64) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[log] = true
	if len(ends) == 0 { // whoever asks about nothing must not take it for an answer
		return true, d.down
	}
	if d.log != (Log{}) && log != d.log {
		return false, d.down
	}
	for p, end := range ends {
		if d.passed[p] < end {
			return false, d.down
		}
	}
	return d.down == nil, d.down
}

// with changes what is known.
func (d *decisions) with(change func(*decisions)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// catchUp makes known all that was emitted, from an application on.
func (w *world) catchUp(from int) {
	ends, err := kafka.Listed(kadm.NewClient(w.client).ListEndOffsets(w.t.Context(), w.config.Topics.Predictions))
	require.NoError(w.t, err)
	w.decisions.with(func(d *decisions) {
		for _, p := range w.emitted[from:] {
			d.known[p.ApplicationID] = counting.Claimed{Probability: float64(p.DefaultProbability), ModelVersion: p.ModelVersion, Declined: p.Decision == schemas.Decline}
		}
		ends.Each(func(o kadm.ListedOffset) { d.passed[o.Partition] = o.Offset })
	})
}

// tell appends outcomes of applications: of each whether it defaulted.
func (w *world) tell(applications ...int) { w.tellOf(epoch, applications...) }

// tellOf tells what was observed then.
func (w *world) tellOf(observed time.Time, applications ...int) {
	var records []*kgo.Record
	for _, i := range applications {
		o := schemas.Outcome{ApplicationID: fmt.Sprintf("A-%06d", i), Defaulted: uint8(i % 2), ObservedAt: schemas.At(observed)}
		records = append(records, &kgo.Record{Topic: w.config.Topics.Outcomes, Partition: int32(i % partitions), Value: schemas.AppendOutcome(nil, &o)})
	}
	w.outcomes += len(applications)
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

func to(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// joined holds that every outcome told was counted once, with these results, and
// that the loans that matched are the decisions' own.
func (w *world) joined(matched, unmatched, duplicate int) {
	w.t.Helper()
	var total drift.Pane
	var c counting.OutcomeCounter
	type loanKey struct {
		version string
		score   int32
	}
	loans := map[loanKey]drift.OutcomeCounts{}
	for _, p := range w.panes(w.config.Topics.Outcomes, w.outcomes) {
		total.Read += p.Read
		total.Matched += p.Matched
		total.NoMatch += p.NoMatch
		total.Repeated += p.Repeated
		total.Declined += p.Declined
		for _, o := range p.Outcomes {
			key := loanKey{o.ModelVersion, o.Score}
			l := loans[key]
			l.Loans += o.Loans
			l.Defaulted += o.Defaulted
			l.Squares += o.Squares
			loans[key] = l
		}
	}
	require.Equal(w.t, []int64{int64(matched + unmatched + duplicate), int64(matched), int64(unmatched), int64(duplicate)}, []int64{total.Read, total.Matched, total.NoMatch, total.Repeated})
	w.decisions.with(func(d *decisions) {
		for id := range d.claims {
			var i int
			_, err := fmt.Sscanf(id, "A-%d", &i)
			require.NoError(w.t, err)
			known := d.known[id]
			known.State = counting.Matched
			c.Add(counting.Outcome{Claimed: known, Defaulted: i%2 == 1})
		}
	})
	var expected drift.Pane
	c.Fill(&expected)
	require.Equal(w.t, expected.Declined, total.Declined)
	require.Len(w.t, loans, len(expected.Outcomes))
	for _, want := range expected.Outcomes {
		key := loanKey{want.ModelVersion, want.Score}
		require.Equal(w.t, want.Loans, loans[key].Loans)
		require.Equal(w.t, want.Defaulted, loans[key].Defaulted)
		require.InDelta(w.t, want.Squares, loans[key].Squares, 1e-9)
	}
}

// What is told long after it was observed is counted apart, where it was matched.
func TestLateOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.LateAfter = 48 * time.Hour
	w.emit(20)
	w.catchUp(0)
	w.tellOf(time.Now().Add(-47*time.Hour), to(10)...)
	w.tellOf(time.Now().Add(-49*time.Hour), 12, 13, 14, 1, 9_000) // one again, and one that nobody decided
	a, _ := w.start("one")
	var late, matched int64
	for _, p := range w.panes(w.config.Topics.Outcomes, w.outcomes) {
		late, matched = late+p.Late, matched+p.Matched
	}
	require.Equal(t, []int64{3, 13}, []int64{late, matched})
	require.Eventually(t, func() bool { return testutil.ToFloat64(a.metrics.late) == 3 }, 20*time.Second, 10*time.Millisecond)
}

func TestOutcomesAreJoinedWithTheirDecisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(200)
	w.catchUp(0)
	w.tell(to(100)...)
	w.tell(to(40)...)               // again
	w.tell(9_000, 9_001, 150, 9000) // of applications that nobody decided, and of one that was
	a, _ := w.start("one")
	w.joined(101, 3, 40)
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(a.metrics.outcomes.WithLabelValues("matched")) == 101
	}, patience, tick)
	require.NoError(t, a.Pending())
}

// An outcome that comes before its decision is known is held, and what comes
// behind it with it; decisions are counted all the same.
func TestAnOutcomeWaitsForItsDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(50)
	w.catchUp(0)
	w.emit(50) // not known yet
	w.tell(60, 10)
	a, _ := w.start("one")
	w.exact()
	require.Eventually(t, func() bool { return errors.Is(a.Pending(), errBehind) }, patience, tick)
	require.InDelta(t, 2, testutil.ToFloat64(a.metrics.held), 0, "an earlier decision on the other may be known, and a later one not")
	becomesReady(t, a)
	w.tell(70)
	w.catchUp(50)
	w.joined(3, 0, 0)
}

// Without Redis outcomes wait, decisions do not.
func TestOutcomesWaitWhileDecisionsCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(50)
	w.catchUp(0)
	w.decisions.with(func(d *decisions) { d.down = errors.New("nobody answers") })
	w.tell(to(20)...)
	a, _ := w.start("one")
	w.exact()
	require.Eventually(t, func() bool { return a.Pending() != nil }, patience, tick)
	require.ErrorContains(t, a.Pending(), "nobody answers")
	w.decisions.with(func(d *decisions) { d.down = nil })
	w.joined(20, 0, 0)
	require.Eventually(t, func() bool { return a.Pending() == nil }, patience, tick)
}

// What was wiped is waited for until it is there again: nothing is unmatched
// because of it.
func TestOutcomesWaitUntilWhatWasWipedIsThereAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(50)
	w.catchUp(0)
	w.tell(to(20)...)
	a, stop := w.start("one")
	w.joined(20, 0, 0)
	w.decisions.with(func(d *decisions) { clear(d.known); clear(d.passed) })
	w.tell(30, 31, 9_000)
	require.Eventually(t, func() bool { return errors.Is(a.Pending(), errBehind) }, patience, tick)
	w.catchUp(0)
	w.joined(22, 1, 0)
	require.NoError(t, stop())
}

type refused struct{ error }

func (refused) Permanent() bool { return true }

func TestWhatRefusesTheJoinEndsTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.decisions.with(func(d *decisions) { d.down = refused{errors.New("NOPERM")} })
	w.tell(1)
	a, err := New(func() Config { c := w.config; c.Registerer = nil; return c }())
	require.NoError(t, err)
	require.ErrorContains(t, a.Run(t.Context()), "NOPERM")
}

// matched + unmatched + duplicate is what was read, and each is what it is, though
// claims stay where transactions are aborted and replicas come and go.
func TestOutcomesAreExactWhateverFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(1000)
	w.catchUp(0)
	failures := w.failNowAndThen(40, map[kmsg.Key][]*kerr.Error{
		kmsg.Produce:         {kerr.UnknownServerError, kerr.InvalidTxnState, kerr.TransactionAbortable},
		kmsg.TxnOffsetCommit: {kerr.IllegalGeneration, kerr.UnknownMemberID},
		kmsg.EndTxn:          {kerr.TransactionAbortable, kerr.UnknownServerError, kerr.InvalidTxnState},
	})
	_, stopOne := w.start("one")
	_, stopTwo := w.start("two")
	matched, unmatched, duplicate := 0, 0, 0
	for round := range 6 {
		w.decisions.with(func(d *decisions) { d.refused = 3 })
		var some []int
		for i := range 100 {
			some = append(some, 100*round+i)
		}
		some = append(some, 9_000+round)
		again := some[:w.random.IntN(50)]
		matched, unmatched, duplicate = matched+100, unmatched+1, duplicate+len(again)
		w.tell(append(some, again...)...)
		w.panes(w.config.Topics.Outcomes, w.outcomes/2)
		if round%2 == 0 {
			require.NoError(t, stopOne())
			_, stopOne = w.start("one")
		} else {
			require.NoError(t, stopTwo())
			_, stopTwo = w.start("two")
		}
	}
	w.joined(matched, unmatched, duplicate)
	require.Positive(t, failures.Load())
}

func TestAMalformedOutcomeIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(10)
	w.catchUp(0)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.config.Topics.Outcomes, Value: []byte(`{"application_id":"A-000001","defaulted":2}`)}).FirstErr())
	w.tell(1, 2)
	w.start("one")
	malformed := int64(0)
	for _, p := range w.panes(w.config.Topics.Outcomes, 3) {
		malformed += p.Malformed
	}
	require.Equal(t, int64(1), malformed)
	w.joined(2, 0, 0)
}

// Whatever the record's key, an outcome is of the application that it names; what
// cannot be matched is counted by name.
func TestOutcomes_JoinByTheirApplicationID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(10)
	w.catchUp(0)
	w.decisions.with(func(d *decisions) {
		d.states = map[string]counting.ClaimState{"A-000007": counting.Before, "A-000008": counting.TooOld}
	})
	records := make([]*kgo.Record, 0, 6)
	for i, key := range []string{"A-000002", "", `"A-000003"`, "A-000004", "A-000007", "A-000008"} {
		o := schemas.Outcome{ApplicationID: []string{"A-000001", "A-000002", "A-000003", "A-000004", "A-000007", "A-000008"}[i], Defaulted: uint8(1), ObservedAt: schemas.At(epoch)}
		records = append(records, &kgo.Record{Topic: w.config.Topics.Outcomes, Key: []byte(key), Value: schemas.AppendOutcome(nil, &o)})
	}
	w.outcomes = len(records)
	require.NoError(t, w.client.ProduceSync(t.Context(), records...).FirstErr())
	a, _ := w.start("one")
	var total drift.Pane
	for _, p := range w.panes(w.config.Topics.Outcomes, w.outcomes) {
		total.Matched, total.NoMatch = total.Matched+p.Matched, total.NoMatch+p.NoMatch
		total.Add(p.OutcomesApart)
	}
	require.Equal(t, drift.Pane{Matched: 4, NoMatch: 2, OutcomesApart: drift.OutcomesApart{TooOld: 1, Before: 1, KeyDiffers: 3}}, total)
	for reason, n := range map[string]float64{"outcome_too_old": 1, "outcome_before_decision": 1, "outcome_key_differs": 3} {
		require.Eventually(t, func() bool { return testutil.ToFloat64(a.metrics.apart.WithLabelValues(reason)) == n }, patience, tick, reason)
	}
	w.decisions.with(func(d *decisions) {
		require.ElementsMatch(t, []string{"A-000001", "A-000002", "A-000003", "A-000004"}, slices.Collect(maps.Keys(d.claims)))
	})
}

// No outcome is joined before all decisions are known that were there when it came:
// an earlier one would be taken for its own.
func TestOutcomes_WaitForLaterDecisionsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(10)
	w.catchUp(0)
	w.emit(1)
	w.tell(3)
	a, _ := w.start("one")
	require.Eventually(t, func() bool { return errors.Is(a.Pending(), errBehind) }, patience, tick)
	w.decisions.with(func(d *decisions) { require.Empty(t, d.claims) })
	w.catchUp(10)
	w.joined(1, 0, 0)
}

func TestOutcomesStandInTheBucketTheyCameIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(10)
	w.catchUp(0)
	before := time.Now()
	w.tell(1)
	w.start("one", func(c *Config) { c.Bucket = time.Second })
	p := w.panes(w.config.Topics.Outcomes, 1)[0]
	require.WithinRange(t, p.Bucket.Time(), before.Add(-2*time.Second), time.Now())
	require.Zero(t, p.Bucket.Time().Nanosecond())
}
