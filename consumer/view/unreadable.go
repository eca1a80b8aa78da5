package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// unreadableTries is how often a batch that cannot be read is tried, once every
// second, before the view leaves it out: another replica of the partition may
// lead by then.
const unreadableTries = 5

// gapTimeout is what the looks at where offsets are left out may take of the goroutine
// that polls: more than the 10 s for which Kafka holds back an answer over a quota.
const gapTimeout = 15 * time.Second

// pause is that of a partition which is tried again now and then.
type pause struct {
	at     *position              // the partition may move and come back since
	tries  int                    // in vain, of a batch that cannot be read
	logged bool                   // the log names it
	doubt  *kafka.UnreadableError // a batch that claimed the offsets of others when it came; nil: none did
}

// pause pauses a partition until it is tried again.
func (s *session) pause(topic string, partition int32, at *position) *pause {
	s.client.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	p := s.paused[partition]
	if p == nil || p.at != at {
		p = &pause{at: at}
		s.paused[partition] = p
	}
	s.tried = time.Now()
	return p
}

// position is where this replica reads a partition; nil where another does.
func (s *session) position(partition int32) *position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.positions[partition]
}

// takeOut takes out what claims the offsets of others, adding it to what is broken. unseen
// are those partitions where the look for it failed for a reason that passes, or took too
// long.
func (s *session) takeOut(ctx context.Context, fetches kgo.Fetches, broken map[int32]kgo.FetchError) (unseen []kgo.FetchError) {
	look, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	for _, e := range s.places.TakeOut(look, fetches, s.at) {
		_, found := errors.AsType[*kafka.UnreadableError](e.Err)
		if found || kafka.IsFailing(e.Err) || look.Err() == nil && !kafka.IsPassing(e.Err) {
			broken[e.Partition] = e
		} else {
			unseen = append(unseen, e)
		}
	}
	return unseen
}

// lookAgain has a partition fetched again after a while: the look at it failed.
func (s *session) lookAgain(e kgo.FetchError) {
	if at := s.position(e.Partition); at != nil {
		s.pause(e.Topic, e.Partition, at)
		s.view.config.Log.Warn("cannot look at the log; retrying", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
	}
}

// blame looks for the damaged batches that brokers fail at without saying so. It looks
// at all partitions at once.
func (s *session) blame(ctx context.Context, broken map[int32]kgo.FetchError) {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	var looks sync.WaitGroup
	var mu sync.Mutex // guards broken
	for _, e := range slices.Collect(maps.Values(broken)) {
		at := s.position(e.Partition)
		if at == nil || !kafka.IsFailing(e.Err) {
			continue
		}
		s.pause(e.Topic, e.Partition, at)
		looks.Go(func() {
			v, err := kafka.Look(ctx, s.client, e.Topic, e.Partition, at.next)
			if err == nil && v.Unreadable != nil && v.Records == 0 {
				e.Err = v.Unreadable.Err
				mu.Lock()
				broken[e.Partition] = e
				mu.Unlock()
			}
		})
	}
	looks.Wait()
}

// cannotRead pauses a partition whose next batch cannot be read, until the next check;
// after some tries it passes over the batch. The others go on meanwhile.
func (s *session) cannotRead(ctx context.Context, e kgo.FetchError) error {
	position := s.position(e.Partition)
	if position == nil {
		return nil // another's by now
	}
	u, named := errors.AsType[*kafka.UnreadableError](e.Err)
	if named {
		e.Err = u.Err
	}
	e.Err = kafka.Reason(e.Err)
	p := s.pause(e.Topic, e.Partition, position)
	s.mu.Lock()
	if s.positions[e.Partition] == position {
		s.broken[e.Partition] = fmt.Errorf("%s/%d cannot be read at offset %d: %w", e.Topic, e.Partition, position.next, e.Err)
	}
	s.mu.Unlock()
	if named {
		p.doubt = u
	}
	switch {
	case errors.Is(e.Err, kgo.ErrMaxDecompress):
		p.tries = unreadableTries // too large for every replica, and told of once
	case kafka.IsFailing(e.Err):
		// Says nothing of the batch, which is never left out for it.
	default:
		p.tries++
	}
	if !p.logged {
		p.logged = true
		s.view.config.Log.Error("a batch cannot be read; trying again", "topic", e.Topic, "partition", e.Partition, "offset", position.next, "error", e.Err)
	}
	if p.tries < unreadableTries {
		return nil
	}
	var err error
	var next int64
	if named {
		next = u.To
	} else {
		u, next, err = kafka.Unreadable(ctx, s.client, e.Topic, e.Partition, position.next)
	}
	if err != nil {
		if ctx.Err() == nil && !errors.Is(e.Err, kgo.ErrMaxDecompress) { // at which the client stops by itself
			p.tries = unreadableTries - 1
			s.view.config.Log.Warn("cannot look at what cannot be read; trying again", "error", err)
			return nil
		}
		return err
	}
	if next == position.next { // a look finds nothing wrong: the client asks again in a while
		s.mu.Lock()
		delete(s.broken, e.Partition)
		s.mu.Unlock()
		return nil
	}
	if err := s.advance(ctx, []Step{{e.Partition, position.next, next}}); err != nil {
		return err
	}
	s.mu.Lock()
	position.next = next
	s.mu.Unlock()
	s.readable(e.Partition)
	if u != nil {
		leaveOut(s.view.config, s.view.metrics, u)
	}
	kafka.ReadAgain(s.client, e.Topic, e.Partition, next)
	s.client.ResumeFetchPartitions(map[string][]int32{e.Topic: {e.Partition}})
	return nil
}

// at is from which offset a partition is to be read on.
func (s *session) at(_ string, partition int32) (from, end int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	position := s.positions[partition]
	if position == nil {
		return 0, 0, false
	}
	return position.next, math.MaxInt64, true
}

// comeBack reads on where everything is written up to, of a partition whose client found
// itself outside the log. An error says that the log does not reach there.
func (s *session) comeBack(ctx context.Context, e kgo.FetchError) error {
	position := s.position(e.Partition)
	if position == nil {
		return nil // another's by now
	}
	look, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	if _, err := kafka.Look(look, s.client, e.Topic, e.Partition, position.next); errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	kafka.ReadAgain(s.client, e.Topic, e.Partition, position.next)
	return nil
}

// readable notes that nothing is in a partition's way any more.
func (s *session) readable(partition int32) {
	delete(s.paused, partition)
	s.mu.Lock()
	delete(s.broken, partition)
	s.mu.Unlock()
}

// stall is how long a partition has been read no further.
type stall struct {
	at       *position
	next     int64
	looks    int   // at it since it moved
	readable int64 // the end up to which a look has found nothing wrong
	comes    bool  // a look has found records that only have to be fetched
}

// due says whether the partition is to be looked at.
func (s *stall) due() bool { return s.looks >= stallLooks && (!s.comes || kafka.FetchAgain(s.looks)) }

// stallLooks is how often a partition that has more to read must be found where it was
// before its log is looked at.
const stallLooks = 3

// lookForStalls looks at the partitions that nothing comes of though they go on: the
// client asks for a batch whose length is wrong again and again, and says nothing.
func (s *session) lookForStalls(ctx context.Context) error {
	now := time.Now()
	if now.Sub(s.looked) < s.view.config.retry {
		return nil
	}
	s.looked = now
	if s.silence.Throttled(s.client) {
		return nil
	}
	s.silence.Broken(s.client)
	doubtful := map[int32]*stall{}
	s.mu.Lock()
	for p, position := range s.positions {
		at := s.stalls[p]
		if at == nil || at.at != position || at.next != position.next {
			s.stalls[p] = &stall{at: position, next: position.next}
			continue
		}
		at.looks++
		if at.due() && s.stable[p] > max(at.next, at.readable) {
			doubtful[p] = at
		}
	}
	s.mu.Unlock()
	topic := s.view.config.Topics.Predictions
	for p, at := range doubtful {
		look, cancel := context.WithTimeout(ctx, endsTimeout)
		v, err := kafka.Look(look, s.client, topic, p, at.next)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return nil //nolint:nilerr // not now
		case v.Blocks() != nil:
			if err := s.cannotRead(ctx, kgo.FetchError{Topic: topic, Partition: p, Err: v.Blocks()}); err != nil {
				return err
			}
		case v.Records > 0:
			if at.comes {
				kafka.ReadAgain(s.client, topic, p, at.next)
			}
			at.comes = true
		default:
			at.readable = v.End
		}
	}
	return nil
}

// tryAgain lets the client fetch what it could not read, now and then.
func (s *session) tryAgain(ctx context.Context) {
	now, topic := time.Now(), s.view.config.Topics.Predictions
	if len(s.paused) == 0 || now.Sub(s.tried) < s.view.config.retry {
		return
	}
	s.tried = now
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	var looks sync.WaitGroup
	var mu sync.Mutex
	var passed []int32
	for partition, p := range s.paused {
		s.mu.Lock()
		at, why := s.positions[partition], s.broken[partition]
		s.mu.Unlock()
		if at == p.at { // the client may have gone past the batch's first record
			kafka.ReadAgain(s.client, topic, partition, at.next)
		}
		s.client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
		if at != p.at || why == nil { // it moved, or all that failed was a look at a gap
			delete(s.paused, partition)
			continue
		}
		if !kafka.IsFailing(why) {
			continue
		}
		looks.Go(func() { // where nothing is to be read, no record would say that it passed
			if v, err := kafka.Look(ctx, s.client, topic, partition, at.next); err == nil && v.Unreadable == nil {
				mu.Lock()
				passed = append(passed, partition)
				mu.Unlock()
			}
		})
	}
	looks.Wait()
	for _, partition := range passed {
		s.readable(partition)
	}
}

// leaveOut counts what is not in the view because it cannot be read.
func leaveOut(c Config, m *metrics, u *kafka.UnreadableError) {
	m.unreadable.Add(float64(u.Offsets()))
	c.Log.Error("left out: a batch cannot be read", "topic", u.Topic, "partition", u.Partition, "offset", u.From, "next", u.To, "error", u.Err)
}
