package replica

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	enc "github.com/DataDog/sketches-go/ddsketch/encoding"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

const (
	// LatencyAccuracy is the relative error of a quantile. Sketches are merged only
	// with those of the same accuracy.
	LatencyAccuracy = 0.01
	// latencyBins bounds a sketch: they span a factor of 10^8, from microseconds to
	// minutes. What is faster than that is counted in the lowest.
	latencyBins = 1024
	// RecentTurns is how many reports the recent figures reach back: at one a second,
	// ten seconds.
	RecentTurns = 10
)

// sketch holds latencies in seconds.
type sketch = ddsketch.DDSketch

func latencyMapping() *mapping.LogarithmicMapping {
	m, err := mapping.NewLogarithmicMapping(LatencyAccuracy)
	if err != nil { // only an accuracy outside 0 … 1 is refused
		panic(err)
	}
	return m
}

func newSketch() *sketch {
	return ddsketch.NewDDSketch(latencyMapping(), store.NewCollapsingLowestDenseStore(latencyBins), store.NewCollapsingLowestDenseStore(1))
}

// Latencies keeps how long things took: of late, and since the beginning.
type Latencies struct {
	mu     sync.Mutex           // guards what follows
	latest *sketch              // since the last turn
	turns  [RecentTurns]*sketch // the last ones; nil: there was none yet
	turned int                  // how many there were
	total  *sketch              // of all turns
}

// NewLatencies has timed nothing yet.
func NewLatencies() *Latencies { return &Latencies{latest: newSketch(), total: newSketch()} }

// Observe notes that n things took so long. What took less than nothing, by two
// clocks that disagree, took nothing. Where nobody asks, nothing is noted.
func (l *Latencies) Observe(took time.Duration, n int) {
	if l == nil || n < 1 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.latest.AddWithCount(max(0, took.Seconds()), float64(n)) // only a value that is not a number of seconds is refused
}

// Turn ends a turn and returns the recent ones and all of them, encoded; nil where
// nothing was timed.
func (l *Latencies) Turn() (recent, total []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns[l.turned%RecentTurns] = l.latest
	l.turned++
	merge(l.total, l.latest)
	l.latest = newSketch()
	late := newSketch()
	for _, t := range l.turns {
		if t != nil {
			merge(late, t)
		}
	}
	return encodeSketch(late), encodeSketch(l.total)
}

// merge adds one sketch to another of the same accuracy.
func merge(into, s *sketch) {
	if err := into.MergeWith(s); err != nil { // only another accuracy is refused
		panic(err)
	}
}

func encodeSketch(s *sketch) []byte {
	if s.IsEmpty() {
		return nil
	}
	var b []byte
	s.Encode(&b, false)
	return b
}

// decodeSketch reads what encodeSketch wrote, or another program with the same
// accuracy; nothing at all is an empty sketch.
func decodeSketch(b []byte) (*sketch, error) {
	s := newSketch()
	if len(b) == 0 {
		return s, nil
	}
	var stores []*boundedStore
	read, err := ddsketch.DecodeDDSketch(b, func() store.Store {
		one := &boundedStore{Store: store.NewCollapsingLowestDenseStore(latencyBins)}
		stores = append(stores, one)
		return one
	}, latencyMapping())
	for _, one := range stores {
		err = errors.Join(err, one.err) // the library looks at none of these
	}
	if err == nil && !isCount(read.GetZeroCount()) {
		err = fmt.Errorf("%v things that took no time", read.GetZeroCount())
	}
	if err == nil {
		err = s.MergeWith(read)
	}
	if err != nil {
		return nil, fmt.Errorf("a latency sketch that cannot be read: %w", err)
	}
	return s, nil
}

// maxBin is beyond the longest time.Duration, 292 years, and, below 0, the shortest.
const maxBin = 1200

// maxCount is so low that whole numbers up to there, and one more, which is how they
// are encoded, have a float64 of their own: counts are exact, in whatever order they
// are added.
const maxCount = 1 << 52

// isCount says whether a float64 is a number of things.
func isCount(v float64) bool { return v >= 0 && v <= maxCount && v == math.Trunc(v) }

// boundedStore refuses what no sketch of latencies has: the library takes any bin
// and any count at its word.
type boundedStore struct {
	store.Store
	err error
}

// Add is part of store.Store.
func (s *boundedStore) Add(index int) { s.AddWithCount(index, 1) }

// AddWithCount is part of store.Store.
func (s *boundedStore) AddWithCount(index int, count float64) {
	switch {
	case index < -maxBin || index > maxBin:
		s.err = fmt.Errorf("bin %d", index)
	case !isCount(count):
		s.err = fmt.Errorf("a count of %v", count)
	case s.TotalCount()+count > maxCount:
		s.err = fmt.Errorf("counts of %v and %v together", s.TotalCount(), count)
	default:
		s.Store.AddWithCount(index, count)
	}
}

// DecodeAndMergeWith is part of store.Store.
func (s *boundedStore) DecodeAndMergeWith(b *[]byte, mode enc.SubFlag) error {
	err := store.DecodeAndMergeWith(s, b, mode)
	s.err = errors.Join(s.err, err)
	return err
}

// quantiles are the latencies at each quantile (0 … 1); nil where nothing was timed.
func quantiles(s *sketch, at ...float64) []time.Duration {
	values, err := s.GetValuesAtQuantiles(at)
	if err != nil { // empty
		return nil
	}
	out := make([]time.Duration, len(values))
	for i, v := range values {
		out[i] = math.MaxInt64
		if ns := v * float64(time.Second); ns < math.MaxInt64 {
			out[i] = time.Duration(ns)
		}
	}
	return out
}
