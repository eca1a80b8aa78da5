package member

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const most = 20_000

func TestSize_ReachesTheMostWithinSixFullTransactions(t *testing.T) {
	t.Parallel()
	s := NewSizeOf(1, most, nil)
	for _, want := range []int{500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000} {
		require.Equal(t, want, s.Records())
		s.Committed(s.Records(), 50*time.Millisecond)
	}
	require.Equal(t, 100, NewSizeOf(1, 100, nil).Records(), "never more than the most")
}

func TestSize_ChangesByHowLongATransactionTook(t *testing.T) {
	t.Parallel()
	f := func(records int, took time.Duration, want int) {
		t.Helper()
		s := NewSizeFrom(4000, most)
		s.Committed(records, took)
		require.Equal(t, want, s.Records())
	}
	f(4000, time.Second, 8000)
	f(3999, time.Second, 4000) // it was not full: more would not have come
	f(4000, 1001*time.Millisecond, 4000)
	f(4000, 2*time.Second, 4000)
	f(4000, 2001*time.Millisecond, 2000)
	f(3000, 3*time.Second, 2000)
	f(40, 3*time.Second, 40) // bytes were bounded, not records
	f(0, 3*time.Second, 1)
}

// What is refused is found, what takes too long becomes ever less, and both at least
// one record.
func TestSize_ShrinksToOneRecord(t *testing.T) {
	t.Parallel()
	s := NewSizeFrom(most, most)
	for _, want := range []int{500, 125, 31, 7, 1, 1} {
		s.GaveUp(s.Records())
		require.Equal(t, want, s.Records())
	}
	s = NewSizeFrom(most, most)
	s.Refused(401)
	require.Equal(t, 200, s.Records())
	s.Refused(1)
	require.Equal(t, 1, s.Records())
}

func TestSize_BeginsSmallWithANewClient(t *testing.T) {
	t.Parallel()
	s := NewSizeFrom(most, most)
	s.Restart()
	require.Equal(t, FirstSize, s.Records())
	s.GaveUp(500)
	s.Restart()
	require.Equal(t, 125, s.Records(), "not larger than before")
}

// The members of a process share a quota: together they begin with what is known to be
// little, and what one has found too much none of them tries.
func TestSize_MembersOfAProcessLearnTogether(t *testing.T) {
	t.Parallel()
	var link Link
	all := []*Size{NewSizeOf(4, most, &link), NewSizeOf(4, most, &link), NewSizeOf(4, most, &link), NewSizeOf(4, most, &link)}
	first := 0
	for _, s := range all {
		first += s.Records()
		s.Committed(s.Records(), 0)
		s.Committed(s.Records(), 0)
	}
	require.Equal(t, FirstSize, first)
	require.Equal(t, 500, all[0].Records())
	all[0].GaveUp(400)
	for _, s := range all {
		require.Equal(t, 100, s.Records())
	}
	all[1].Committed(99, 0)
	require.Equal(t, 100, all[2].Records(), "it was not full")
	all[1].Committed(100, 3*time.Second)
	require.Equal(t, 100, all[2].Records(), "nor this one soon enough")
	all[2].Committed(100, 0)
	require.Equal(t, 200, all[3].Records())
	all[3].Restart()
	require.Equal(t, 125, all[3].Records(), "no more than a new process")
	require.Equal(t, 1, NewSizeOf(1000, most, nil).Records())
}

// A link that takes so many bytes a second, as a quota does, with a burst before
// it: the sizes settle where a transaction ends in time, and all that is waiting is
// written at the link's rate.
func TestSize_SettlesAtWhatALinkTakes(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{2, 20, 200, 2000, 200_000} { // records a second
		s := NewSizeOf(1, most, nil)
		clock, done, aborted := 0.0, 0, 0
		for done < int(rate*120) {
			n := s.Records()
			if took := float64(n) / rate; took > FlushTimeout.Seconds() {
				clock += TransactionTimeout.Seconds()
				aborted++
				s.GaveUp(n)
			} else {
				clock += took
				done += n
				s.Committed(n, time.Duration(took*float64(time.Second)))
			}
			require.Less(t, clock, 300.0, "%g records/s: %d written", rate, done)
		}
		require.LessOrEqual(t, aborted, 4, "%g records/s", rate)
	}
}
