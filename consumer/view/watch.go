package view

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
)

const (
	// How often it is looked up where the partitions end: a view that is held up reads
	// nothing that would say so.
	endsInterval = 5 * time.Second
	// What looking may take.
	endsTimeout = 5 * time.Second
)

// watch keeps the lag, and what waits behind open transactions, until ctx ends.
func (s *session) watch(ctx context.Context) {
	tick := time.NewTicker(s.view.config.ends)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.look(ctx)
		}
	}
}

// look looks up where the partitions end. The gauges keep their values where that
// fails: reading says why.
func (s *session) look(ctx context.Context) {
	v, topic := s.view, s.view.config.Topics.Predictions
	ask, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	listed, err := kafka.ListEnds(ask, kadm.NewClient(s.client), topic)
	if err != nil {
		v.config.Log.Debug("cannot look up where predictions end", "error", err)
		return
	}
	ends := map[int32]kafka.End{}
	s.mu.Lock()
	for p, position := range s.positions {
		if end, ok := listed[topic][p]; ok {
			ends[p] = end
			s.stable[p] = end.Stable
			v.metrics.lag.WithLabelValues(strconv.Itoa(int(p))).Set(float64(max(0, end.Stable-position.next)))
		}
	}
	s.mu.Unlock()
	v.open.Look(ask, ends)
}
