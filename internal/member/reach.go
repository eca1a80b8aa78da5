package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// LagInterval is how often the lag is looked up.
const LagInterval = 5 * time.Second

// lagTimeout is what looking the lag up may take.
const lagTimeout = 5 * time.Second

// ReachConfig is what a Reach needs.
type ReachConfig struct {
	Group string
	Topic string
	Log   *slog.Logger
	// Gauges by partition: committed records that were not answered, offsets that are
	// outside the log, and offsets of a batch that cannot be read.
	Lag, Unreachable, Unreadable *prometheus.GaugeVec
	Removed                      *prometheus.GaugeVec // likewise: offsets that had left the log when the group began
	Open                         *kafka.OpenWatch     // told where the topic's partitions end
	// Skips is how often a batch that cannot be read is tried again before it is
	// skipped; 0: the partition stops until it can be read, or until somebody commits
	// an offset behind it.
	Skips int
	Retry time.Duration // between one attempt at such a batch and the next; 0: RetryInterval
}

// Reach is where the members of a process stand in a topic's log. A partition
// whose next offset lies outside the log, or whose next batch cannot be read, is
// stopped, named and counted; the others go on.
type Reach struct {
	config ReachConfig

	mu         sync.Mutex            // guards what follows
	stopped    map[int32]int64       // partitions whose offset is outside the log, and by how far
	unreadable map[int32]*unreadable // partitions whose next batch cannot be read
	stalls     map[int32]*stall
	stallsDue  map[*kgo.Client]time.Time
	silences   map[*kgo.Client]*kafka.Silence
	ends       map[int32]int64 // of what is committed, when the lag was last looked up
	passed     map[int32]int64 // offsets up to which all that was fetched is answered
	shown      map[int32]bool  // partitions that have gauges
	stuck      bool            // every owned partition is stopped
}

// NewReach returns a Reach of no partitions yet.
func NewReach(c ReachConfig) *Reach {
	if c.Retry == 0 {
		c.Retry = RetryInterval
	}
	return &Reach{
		config: c, stopped: map[int32]int64{}, unreadable: map[int32]*unreadable{}, shown: map[int32]bool{},
		stalls: map[int32]*stall{}, stallsDue: map[*kgo.Client]time.Time{},
		silences: map[*kgo.Client]*kafka.Silence{}, ends: map[int32]int64{},
		passed: map[int32]int64{},
	}
}

// pass notes that all of what was fetched of each partition is answered, up to the
// offset given. That is further than what is committed where only the ends of
// transactions follow: they are no reason to commit.
func (r *Reach) pass(to map[int32]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition, offset := range to {
		r.passed[partition] = max(r.passed[partition], offset)
	}
}

// Of is the group whose members these are, where that was not known before. There
// must be none yet.
func (r *Reach) Of(group string) { r.config.Group = group }

// Stuck says whether every partition that this process owns is stopped.
func (r *Reach) Stuck() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stuck
}

// Adjust holds the offsets that a member is to begin from against the log. A
// partition whose offset is outside it is stopped: the client would otherwise go
// on at the nearest end, and skip or repeat in silence. One without a commit
// whose siblings have one was added since, and begins at 0.
func (r *Reach) Adjust(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	topic := r.config.Topic
	adm := kadm.NewClient(client)
	starts, ends, err := logEnds(ctx, adm, topic)
	if err != nil {
		return nil, err
	}
	siblings := false
	for partition, o := range offsets[topic] {
		at := o.EpochOffset().Offset
		if at < 0 {
			if !siblings {
				has, err := hasCommits(ctx, adm, r.config.Group, topic)
				if err != nil {
					return nil, err
				}
				if !has {
					return nil, Permanent(nil, "the offsets of group %q were deleted; start again, with --from start, end or a time", r.config.Group)
				}
				siblings = true
			}
			at = 0
			offsets[topic][partition] = kgo.NewOffset().At(0)
		}
		first, ok1 := starts.Lookup(topic, partition)
		last, ok2 := ends.Lookup(topic, partition)
		if !ok1 || !ok2 || first.Err != nil || last.Err != nil {
			return nil, fmt.Errorf("looking up the ends of %s/%d: %w", topic, partition, errors.Join(first.Err, last.Err))
		}
		if r.hold(client, partition, at, first.Offset, last.Offset, max(first.Offset-at, at-last.Offset, 0)) {
			// Without its epoch: the client would look for where the log parted,
			// and go on from there.
			offsets[topic][partition] = kgo.NewOffset().At(at)
		}
	}
	return offsets, nil
}

// fellOut stops a partition that left the log under a running member. at is the
// next offset that was to be read, -1 when only the client knows it.
func (r *Reach) fellOut(ctx context.Context, client *kgo.Client, partition int32, at int64) error {
	topic := r.config.Topic
	starts, ends, err := logEnds(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return err
	}
	committed, owned := client.CommittedOffsets()[topic][partition]
	if !owned {
		return nil // another member's by now, which looks for itself
	}
	if at < 0 {
		at = committed.Offset
	}
	first, _ := starts.Lookup(topic, partition)
	last, _ := ends.Lookup(topic, partition)
	// Where the log has grown past the offset again, what is there now is not what
	// was to be read: one offset at least is unreachable.
	r.hold(client, partition, at, first.Offset, last.Offset, max(first.Offset-at, at-last.Offset, 1))
	return nil
}

func logEnds(ctx context.Context, adm *kadm.Client, topic string) (starts, ends kadm.ListedOffsets, err error) {
	if starts, err = adm.ListStartOffsets(ctx, topic); err == nil {
		ends, err = adm.ListEndOffsets(ctx, topic)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("looking up the ends of %s: %w", topic, err)
	}
	return starts, ends, nil
}

// hold stops a partition of which offsets are unreachable, naming and counting
// them, and lets any other go on. It says whether it stopped it.
func (r *Reach) hold(client *kgo.Client, partition int32, at, first, last, unreachable int64) (stopped bool) {
	topic := r.config.Topic
	r.config.Unreachable.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(unreachable))
	r.mu.Lock()
	known := r.stopped[partition] == unreachable
	if unreachable > 0 {
		r.stopped[partition] = unreachable
	} else {
		delete(r.stopped, partition)
	}
	r.mu.Unlock()
	here := map[string][]int32{topic: {partition}}
	if unreachable == 0 {
		r.adopt(client, partition, at)
		client.ResumeFetchPartitions(here)
		return false
	}
	client.PauseFetchPartitions(here)
	if !known { // once, not at every rebalance
		r.config.Log.Error("partition stopped: its next offset is outside the log; the others go on", "topic", topic, "partition", partition,
			"offset", at, "log_start", first, "log_end", last, "unreachable", unreachable)
	}
	return true
}

// show sets the gauges of the partitions that the members own now and removes
// those of partitions that they owned and do not. The lag is asked of the cluster,
// not taken from what was last read: a member that is stuck reads nothing, and
// that is when its lag matters.
func (r *Reach) show(ctx context.Context, members []*Member) error {
	at, client := r.owned(members)
	if client == nil {
		r.config.Open.Look(ctx, nil)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	listed, err := kafka.ListEnds(ctx, kadm.NewClient(client), r.config.Topic)
	ends := map[int32]kafka.End{}
	for partition, offset := range at {
		if end, ok := listed[r.config.Topic][partition]; ok {
			ends[partition] = end
			r.config.Lag.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(max(0, end.Stable-offset)))
			r.mu.Lock()
			r.ends[partition] = end.Stable
			r.mu.Unlock()
		}
	}
	if err == nil { // else a transaction would seem to have ended where it cannot be seen
		r.config.Open.Look(ctx, ends)
	}
	return err
}

// owned are the partitions owned now, each with the offset up to which it is answered,
// and a client of one that owns them, nil where there is none.
func (r *Reach) owned(members []*Member) (at map[int32]int64, client *kgo.Client) {
	at = map[int32]int64{}
	for _, m := range members {
		if c := m.Client(); c != nil {
			client = c
			for partition, o := range c.CommittedOffsets()[r.config.Topic] {
				at[partition] = o.Offset
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition := range at {
		at[partition] = max(at[partition], r.passed[partition])
	}
	r.stuck = len(at) > 0
	for partition := range at {
		_, stopped := r.stopped[partition]
		_, unreadable := r.unreadable[partition]
		r.stuck = r.stuck && (stopped || unreadable)
	}
	for partition := range r.shown {
		if _, owned := at[partition]; !owned {
			delete(r.stopped, partition)
			delete(r.unreadable, partition)
			delete(r.passed, partition)
			label := strconv.Itoa(int(partition))
			r.config.Lag.DeleteLabelValues(label)
			r.config.Unreachable.DeleteLabelValues(label)
			r.config.Unreadable.DeleteLabelValues(label)
		}
	}
	r.shown = map[int32]bool{}
	for partition := range at {
		r.shown[partition] = true
	}
	// One that was stopped a moment ago may be about to be owned.
	for partition := range r.stopped {
		r.shown[partition] = true
	}
	for partition := range r.unreadable {
		r.shown[partition] = true
	}
	return at, client
}

// Watch keeps the gauges until ctx ends, and away up to date: why Kafka could not
// be asked the last time, which a member that has nothing to read does not notice.
// It also finds out that the topic is gone, which a consumer does late, and one
// that owns no partition perhaps never: it waits for the topic to come back. resolve
// says why an error ends the process.
func (r *Reach) Watch(ctx context.Context, interval time.Duration, members []*Member, resolve func(context.Context, error) error, away func(error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := r.show(ctx, members)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if why := resolve(ctx, err); why != nil {
				return why
			}
			// The gauges keep their last values.
			err = fmt.Errorf("kafka does not answer: %w", err)
		}
		away(err)
	}
}
