package member

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

const (
	// RetryInterval is between one attempt at a batch that could not be read and the
	// next: another replica of the partition may lead by then, or the batch may have
	// been skipped.
	RetryInterval = 5 * time.Second
	// What looking at such a batch may take: the other partitions wait for it.
	lookTimeout = 3 * time.Second
	// What looking for its end may take, which asks a dozen times.
	endTimeout = 20 * time.Second
)

// unreadable is a partition whose next batch cannot be read.
type unreadable struct {
	err      *kafka.UnreadableError
	client   *kgo.Client // of the member that owns it
	attempts int
	due      time.Time // when it is tried again
}

// stop stops a partition whose next batch cannot be read. The client would ask for
// it again at once, forever. Where that batch was aborted nothing stops, and next is the
// offset to continue at once what was polled is committed; otherwise it is -1.
func (r *Reach) stop(ctx context.Context, client *kgo.Client, partition int32, cause error) (next int64) {
	topic := r.config.Topic
	client.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	r.mu.Lock()
	known := r.unreadable[partition]
	r.mu.Unlock()
	// A look may have failed before that says that the batch was aborted.
	if known == nil || known.err.To < 0 && errors.Is(cause, kgo.ErrMaxDecompress) {
		u, named := errors.AsType[*kafka.UnreadableError](cause)
		if !named {
			if u, next = r.name(ctx, client, partition, cause); u == nil {
				if known != nil {
					r.mu.Lock()
					r.goesOn(partition, next)
					r.mu.Unlock()
				}
				client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
				return next
			}
		}
		known = &unreadable{err: u}
		of := []any{"topic", topic, "partition", partition, "offset", known.err.From, "next", known.err.To}
		if flag := r.skipFlag(known.err); flag != "" {
			of = append(of, "passed_over_with", flag)
		}
		r.config.Log.Error("partition stopped: a batch cannot be read; the others go on", append(of, "error", known.err.Err)...)
	}
	r.config.Unreadable.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(known.err.Offsets()))
	r.mu.Lock()
	defer r.mu.Unlock()
	known.client, known.due = client, time.Now().Add(r.config.Retry)
	r.unreadable[partition] = known
	return -1
}

// skipFlag is the flag that passes over a batch; "" where the member does so by itself.
func (r *Reach) skipFlag(u *kafka.UnreadableError) string {
	switch skip := (Skip{u.Topic, u.Partition, u.From, -1}); {
	case r.config.Skips > 0:
		return ""
	case u.To <= u.From:
		return fmt.Sprintf("--skip %s-LAST", skip)
	default:
		return fmt.Sprintf("--skip %s", skip)
	}
}

// Stopped are the partitions whose next batch cannot be read, and why, on one line;
// empty without any.
func (r *Reach) Stopped() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, partition := range slices.Sorted(maps.Keys(r.unreadable)) {
		why := r.unreadable[partition].err
		text := why.Error()
		if skip := r.skipFlag(why); skip != "" {
			text += " (" + skip + " passes over it)"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// Waits is Stopped as what is waited for; nil without any.
func (r *Reach) Waits() error {
	if stopped := r.Stopped(); stopped != "" {
		return errors.New(stopped)
	}
	return nil
}

// position is the offset behind what a client has polled of a partition that it owns.
func (r *Reach) position(client *kgo.Client, partition int32) (at int64, owned bool) {
	committed, owned := client.CommittedOffsets()[r.config.Topic][partition]
	polled := client.UncommittedOffsets()[r.config.Topic][partition]
	return max(committed.Offset, polled.Offset), owned
}

// name says at which offset a partition cannot be read, as exactly as it can be
// found out; u is nil where that batch was aborted, and the partition can be read from next on.
func (r *Reach) name(ctx context.Context, client *kgo.Client, partition int32, cause error) (u *kafka.UnreadableError, next int64) {
	topic := r.config.Topic
	at, _ := r.position(client, partition)
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for ctx.Err() == nil {
		v, err := kafka.Look(ctx, client, topic, partition, at)
		if err == nil && v.Impassable && v.Records == 0 {
			return nil, v.Next
		}
		if err != nil || v.Records > 0 || v.Unreadable == nil && v.Next <= at {
			break
		}
		if v.Unreadable != nil {
			return v.Unreadable, at
		}
		at = v.Next
	}
	return &kafka.UnreadableError{Topic: topic, Partition: partition, From: at, To: -1, Err: kafka.Reason(cause)}, at
}

// read notes that partitions which were stopped can be read again.
func (r *Reach) read(fetches kgo.Fetches) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unreadable) == 0 {
		return
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		was := r.unreadable[f.Partition]
		if was == nil || len(f.Records) == 0 || f.Records[len(f.Records)-1].Offset < was.err.From {
			return
		}
		r.goesOn(f.Partition, f.Records[0].Offset)
	})
}

// goesOn forgets that a partition was stopped; the lock is held.
func (r *Reach) goesOn(partition int32, at int64) {
	delete(r.unreadable, partition)
	r.config.Unreadable.WithLabelValues(strconv.Itoa(int(partition))).Set(0)
	r.config.Log.Info("partition continues", "topic", r.config.Topic, "partition", partition, "offset", at)
}

// adopt hands a partition that was stopped to the client that owns it now, which
// tries for itself.
func (r *Reach) adopt(client *kgo.Client, partition int32, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.unreadable[partition]
	switch {
	case u == nil:
	case at > u.err.From:
		r.goesOn(partition, at)
	default:
		u.client = client
	}
}

// retry lets a client try the batches again that it could not read, those whose
// time it is. Where an offset behind one was committed since, it goes on from there.
func (r *Reach) retry(ctx context.Context, client *kgo.Client) {
	due, now := []int32(nil), time.Now()
	r.mu.Lock()
	for partition, u := range r.unreadable {
		if u.client == client && !now.Before(u.due) {
			u.due = now.Add(r.config.Retry)
			u.attempts++
			due = append(due, partition)
		}
	}
	r.mu.Unlock()
	if len(due) == 0 {
		return
	}
	slices.Sort(due)
	topic := r.config.Topic
	ask, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	committed, err := kadm.NewClient(client).FetchOffsetsForTopics(ask, r.config.Group, topic)
	if err != nil {
		return // not yet
	}
	for _, partition := range due {
		r.mu.Lock()
		u := r.unreadable[partition]
		r.mu.Unlock()
		o, ok := committed.Lookup(topic, partition)
		if u == nil || !ok || o.Err != nil {
			continue
		}
		to := o.At
		if r.config.Skips > 0 && u.attempts > r.config.Skips && r.findEnd(ctx, client, u) {
			to = max(to, u.err.To)
			r.config.Log.Error("skipped what cannot be read", "topic", topic, "partition", partition, "offset", u.err.From, "next", to, "error", u.err.Err)
		}
		if to <= u.err.From && kafka.IsFailing(u.err.Err) {
			// Where nothing is to be read, no record would say that it passed.
			if v, err := kafka.Look(ask, client, topic, partition, u.err.From); err == nil && v.Unreadable == nil {
				r.mu.Lock()
				r.goesOn(partition, u.err.From)
				r.mu.Unlock()
			}
		}
		if to > u.err.From {
			client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: to}}})
			r.mu.Lock()
			r.goesOn(partition, to)
			r.mu.Unlock()
		} else if at, owned := r.position(client, partition); owned {
			kafka.ReadAgain(client, topic, partition, at) // it may have gone past the batch's first record
		}
		client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
	}
}

// findEnd says whether it is known where a batch ends that cannot be read, having looked
// for it where the batch does not say. What another look can read has no end.
func (r *Reach) findEnd(ctx context.Context, client *kgo.Client, u *unreadable) bool {
	if u.err.To >= 0 {
		return true
	}
	asked, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	found, _, err := kafka.Unreadable(asked, client, u.err.Topic, u.err.Partition, u.err.From)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		r.config.Log.Warn("cannot find out where a batch ends that cannot be read; trying again", "topic", u.err.Topic,
			"partition", u.err.Partition, "offset", u.err.From, "error", err)
		return false
	}
	if found == nil {
		return false
	}
	r.mu.Lock()
	u.err = found
	r.mu.Unlock()
	return true
}

// stall is how long a partition has been read no further.
type stall struct {
	client   *kgo.Client
	position int64
	looks    int   // at it since it moved
	readable int64 // the end up to which a look has found nothing wrong
	comes    bool  // a look has found records that only have to be fetched
}

// due says whether the partition is to be looked at.
func (s *stall) due() bool { return s.looks >= stallLooks && (!s.comes || kafka.FetchAgain(s.looks)) }

// stallLooks is how often a partition that has more to read must be found where it
// was before it is looked at.
const stallLooks = 3

// lookForStalls stops the partitions of a client that it waits for in silence: it
// asks for an answer without a whole batch again and again, and for what the broker
// calls corrupt, and says nothing.
func (r *Reach) lookForStalls(ctx context.Context, client *kgo.Client) {
	var doubtful []int32
	topic := r.config.Topic
	r.mu.Lock()
	now := time.Now()
	if now.Before(r.stallsDue[client]) {
		r.mu.Unlock()
		return
	}
	r.stallsDue[client] = now.Add(r.config.Retry)
	if r.silences[client] == nil {
		r.silences[client] = &kafka.Silence{}
	}
	if r.silences[client].Throttled(client) {
		r.mu.Unlock()
		return
	}
	r.silences[client].Broken(client)
	polled := client.UncommittedOffsets()[topic]
	for partition, o := range client.CommittedOffsets()[topic] {
		at := max(o.Offset, polled[partition].Offset)
		s := r.stalls[partition]
		if s == nil || s.client != client || s.position != at {
			r.stalls[partition] = &stall{client: client, position: at}
			continue
		}
		s.looks++
		_, outside := r.stopped[partition]
		_, unreadable := r.unreadable[partition]
		if end := r.ends[partition]; !outside && !unreadable && s.due() && end > max(at, s.readable) {
			doubtful = append(doubtful, partition)
		}
	}
	r.mu.Unlock()
	for _, partition := range doubtful {
		r.mu.Lock()
		s := r.stalls[partition]
		r.mu.Unlock()
		look, cancel := context.WithTimeout(ctx, lookTimeout)
		v, err := kafka.Look(look, client, topic, partition, s.position)
		cancel()
		switch {
		case err != nil: // not now, nor the others: the turn waits
			return
		case errors.Is(v.Blocks(), kgo.ErrMaxDecompress):
			// The client says so once, and to nobody where the group rebalanced meanwhile.
			kafka.ReadAgain(client, topic, partition, s.position)
			s.looks = 0
		case v.Blocks() != nil:
			r.stop(ctx, client, partition, v.Unreadable)
		case v.Records > 0:
			if s.comes {
				kafka.ReadAgain(client, topic, partition, s.position)
			}
			s.comes = true
		default:
			s.readable = v.End
		}
	}
}

// forget forgets a client that is about to be closed.
func (r *Reach) forget(client *kgo.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.stallsDue, client)
	delete(r.silences, client)
}
