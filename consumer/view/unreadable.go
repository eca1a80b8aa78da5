package view

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// unreadableTries is how often a batch that cannot be read is tried, once every
// checkInterval, before the view leaves it out: another replica of the partition may
// lead by then.
const unreadableTries = 5

// cannotRead pauses a partition whose next batch cannot be read, until the next check;
// after some tries it passes over the batch. The others go on meanwhile.
func (s *session) cannotRead(ctx context.Context, e kgo.FetchError) error {
	here := map[string][]int32{e.Topic: {e.Partition}}
	s.client.PauseFetchPartitions(here)
	s.mu.Lock()
	position := s.positions[e.Partition]
	s.mu.Unlock()
	if position == nil {
		return nil // another's by now
	}
	s.tries[e.Partition]++
	if errors.Is(e.Err, kgo.ErrMaxDecompress) {
		s.tries[e.Partition] = unreadableTries // too large for every replica, and told of once
	}
	s.tried = time.Now()
	switch s.tries[e.Partition] {
	case 1:
		s.view.config.Log.Error("a batch cannot be read; trying again", "topic", e.Topic, "partition", e.Partition, "offset", position.next, "error", e.Err)
	case unreadableTries:
		delete(s.tries, e.Partition)
		u, err := kafka.Unreadable(ctx, s.client, e.Topic, e.Partition, position.next)
		if err != nil {
			return err
		}
		if u == nil {
			s.client.ResumeFetchPartitions(here)
			return nil
		}
		if err := s.advance(ctx, []Step{{e.Partition, position.next, u.To}}); err != nil {
			return err
		}
		s.mu.Lock()
		position.next = u.To
		s.mu.Unlock()
		leaveOut(s.view.config, s.view.metrics, u)
		goOn(s.client, u)
	}
	return nil
}

// tryAgain lets the client fetch what it could not read, now and then.
func (s *session) tryAgain() {
	now := time.Now()
	if len(s.tries) == 0 || now.Sub(s.tried) < checkInterval {
		return
	}
	s.tried = now
	for partition := range s.tries {
		s.client.ResumeFetchPartitions(map[string][]int32{s.view.config.Topics.Predictions: {partition}})
	}
}

// leaveOut counts what is not in the view because it cannot be read.
func leaveOut(c Config, m *metrics, u *kafka.UnreadableError) {
	m.unreadable.Add(float64(u.Offsets()))
	c.Log.Error("left out: a batch cannot be read", "topic", u.Topic, "partition", u.Partition, "offset", u.From, "next", u.To, "error", u.Err)
}

// goOn makes a client read on behind a batch.
func goOn(client *kgo.Client, u *kafka.UnreadableError) {
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{u.Topic: {u.Partition: {Epoch: -1, Offset: u.To}}})
	client.ResumeFetchPartitions(map[string][]int32{u.Topic: {u.Partition}})
}

// passOver moves a stretch of a rebuild past a batch that cannot be read.
func (r *rebuilder) passOver(ctx context.Context, client *kgo.Client, e kgo.FetchError, s *stretch) error {
	u, err := kafka.Unreadable(ctx, client, e.Topic, e.Partition, s.next)
	if err != nil || u == nil {
		return err
	}
	if u.From < s.end {
		u.To = min(u.To, s.end)
		leaveOut(r.config, r.metrics, u)
	}
	s.next = u.To
	goOn(client, u)
	return nil
}
