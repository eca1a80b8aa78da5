package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas/wire"
)

// position is where this replica reads one partition.
type position struct {
	next   int64 // everything below is in Redis
	target int64 // the end of what was committed when the partition was taken over
}

// behindError says that Redis has lost what was written to it. A new session
// begins where Redis stands.
type behindError struct {
	partition        int32
	written, stopped int64
}

func (e *behindError) Error() string {
	if e.stopped == nowhere {
		return fmt.Sprintf("Redis was emptied: partition %d was written up to %d", e.partition, e.written)
	}
	return fmt.Sprintf("Redis went back in time: partition %d was written up to %d and is at %d", e.partition, e.written, e.stopped)
}

// session is one membership in the group.
type session struct {
	view   *View
	client *kgo.Client
	log    uint32
	batch  batch
	pace   pace

	mu        sync.Mutex // guards what follows
	joined    bool
	awaited   map[int32]bool // taken over, not positioned yet
	positions map[int32]*position
	stable    map[int32]int64 // up to where each partition is committed, when that was last looked up
	broken    map[int32]error // partitions whose next batch cannot be read now

	// Of the goroutine that polls: the partitions that are paused because of what cannot
	// be read, and when that was last tried.
	paused  map[int32]*pause
	tried   time.Time
	places  *kafka.Places
	stalls  map[int32]*stall
	looked  time.Time // for stalls
	silence kafka.Silence
}

// gathered is how many bytes end the wait of a fetch that gathers.
const gathered = 1 << 20

func openSession(ctx context.Context, v *View) (*session, error) {
	c := v.config
	if err := v.settle(ctx); err != nil {
		return nil, err
	}
	s := &session{
		view: v, awaited: map[int32]bool{}, positions: map[int32]*position{}, paused: map[int32]*pause{},
		stable: map[int32]int64{}, broken: map[int32]error{}, stalls: map[int32]*stall{},
		places: kafka.NewPlaces(c.Kafka),
	}
	// A partition that could not be read is in the next fetch, not in the one under way.
	wait, least := max(c.retry, 100*time.Millisecond), int32(1)
	if c.Gather > 0 {
		wait, least = c.Gather, gathered
	}
	opened := make(chan struct{}) // partitions may be assigned before the client is returned
	client, err := kgo.NewClient(append(c.Kafka.Options(),
		kgo.ConsumerGroup(v.group),
		kgo.ConsumeTopics(c.Topics.Predictions),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(wait),
		kgo.FetchMinBytes(least),
		// Commit markers move the position past them: the lag goes down to 0.
		kgo.KeepControlRecords(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(sessionTimeout/10),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Kafka's commits are for whoever looks at the group; where to begin is
		// what Redis says.
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(checkInterval),
		kgo.AdjustFetchOffsetsFn(func(ctx context.Context, o map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			select {
			case <-opened:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return s.assigned(ctx, o)
		}),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.joined = true
			for _, p := range added[c.Topics.Predictions] {
				s.awaited[p] = true
			}
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, lost map[string][]int32) {
			if err := client.CommitMarkedOffsets(ctx); err != nil {
				c.Log.Debug("committing before partitions move", "error", err)
			}
			s.lost(lost[c.Topics.Predictions])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			s.lost(lost[c.Topics.Predictions])
		}),
	)...)
	if err != nil {
		return nil, err
	}
	s.client = client
	l, err := logOf(ctx, kadm.NewClient(client), c.Topics.Predictions)
	if err == nil {
		err = requireOwn(ctx, c, v.store, &v.outage, l.cluster)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	s.log = l.number
	s.batch = batch{log: s.log, lifetimes: c.Lifetimes, logger: c.Log, metrics: v.metrics, codec: c.Codec}
	close(opened)
	return s, nil
}

// settle finds out, once, which group the view joins.
func (v *View) settle(ctx context.Context) error {
	if v.group != "" {
		return nil
	}
	c := v.config
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(c.Topics.Predictions)); err != nil {
		return err
	}
	group, err := c.Group.Settle(ctx, adm, c.Log, c.Topics.Predictions)
	if err == nil {
		v.group = group
	}
	return err
}

// assigned says where new partitions are read from: at their progress, or at
// the start of the log where Redis knows none that lies in it. It waits for
// Redis as long as the partitions stay.
func (s *session) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	c, topic := s.view.config, s.view.config.Topics.Predictions
	committed := offsets[topic]
	partitions := slices.Sorted(maps.Keys(committed))
	var at []int64
	err := s.view.outage.retry(ctx, func(ctx context.Context) (err error) {
		at, err = s.view.store.progress(ctx, s.log, partitions)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Asked for later than the progress, the ends lie behind it.
	adm := kadm.NewClient(s.client)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("looking for the start of %s: %w", topic, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("looking for the end of %s: %w", topic, err)
	}
	begin, taken := map[int32]int64{}, map[int32]*position{}
	var refilled []int32
	for i, p := range partitions {
		start, ok := starts.Lookup(topic, p)
		end, ok2 := ends.Lookup(topic, p)
		if err := errors.Join(start.Err, end.Err); err != nil || !ok || !ok2 {
			return nil, fmt.Errorf("looking for the ends of %s/%d: %w", topic, p, err)
		}
		next := at[i]
		if next < start.Offset || next > end.Offset {
			switch {
			case next > end.Offset:
				c.Log.Warn("the log ends before what Redis has seen of it: reading it again", "partition", p, "progress", next, "end", end.Offset)
			case next != nowhere:
				c.Log.Warn("predictions have left the log before they came into the view", "partition", p, "from", next, "to", start.Offset)
			case committed[p].EpochOffset().Offset > start.Offset:
				refilled = append(refilled, p)
			}
			next = start.Offset
			begin[p] = next
		}
		committed[p] = kgo.NewOffset().At(next)
		taken[p] = &position{next: next, target: end.Offset}
	}
	if len(refilled) > 0 {
		s.view.metrics.refills.Add(float64(len(refilled)))
		c.Log.Warn("Redis does not hold what was written, or held it without the prefix: reading the log again", "partitions", refilled)
	}
	if len(begin) > 0 {
		err := s.view.outage.retry(ctx, func(ctx context.Context) error { return s.view.store.begin(ctx, s.log, begin) })
		if err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	for p := range taken {
		delete(s.awaited, p)
	}
	maps.Copy(s.positions, taken)
	s.mu.Unlock()
	s.showRefilling()
	return offsets, nil
}

func (s *session) lost(partitions []int32) {
	s.mu.Lock()
	for _, p := range partitions {
		delete(s.awaited, p)
		delete(s.positions, p)
		delete(s.broken, p)
		s.view.metrics.lag.DeleteLabelValues(strconv.Itoa(int(p)))
	}
	s.mu.Unlock()
	s.showRefilling()
}

// written is one partition's part of a batch. A partition that moves meanwhile
// has another position, which this one no longer reaches.
type written struct {
	position *position
	target   int64
	last     *kgo.Record
	stable   int64 // offset up to which the partition is committed
}

// write puts what was polled into Redis, however long that takes.
func (s *session) write(ctx context.Context, fetches kgo.Fetches) error {
	v, now := s.view, s.view.config.Now()
	var (
		steps   []Step
		parts   []written
		records []*kgo.Record
		missing []*kafka.UnreadableError
	)
	s.mu.Lock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		position := s.positions[f.Partition]
		if len(f.Records) == 0 || position == nil {
			return
		}
		if p := s.paused[f.Partition]; p != nil && p.at == position && p.doubt != nil && f.Records[0].Offset > p.doubt.From {
			missing = append(missing, p.doubt) // the broker gives what lies behind it, and never what it held
		}
		delete(s.paused, f.Partition) // where it could not be read, it can be again
		delete(s.broken, f.Partition)
		last := f.Records[len(f.Records)-1]
		steps = append(steps, Step{f.Partition, position.next, max(position.next, last.Offset+1)})
		parts = append(parts, written{position, position.target, last, f.LastStableOffset})
		records = append(records, f.Records...)
	})
	s.mu.Unlock()
	s.batch.reset()
	for window := range slices.Chunk(records, wire.LearnWindow) { // without the lock: it may wait for a schema
		if err := s.batch.learn(ctx, window); err != nil {
			return err
		}
		for _, r := range window {
			if err := s.batch.add(ctx, r, now); err != nil {
				return err
			}
		}
	}
	w, err := s.pace.write(ctx, &v.outage, v.store, s.batch.entries)
	if err != nil {
		return err
	}
	// Only now: progress must never be ahead of what was written.
	if err := s.advance(ctx, steps); err != nil {
		return err
	}
	s.mu.Lock()
	for i, p := range parts {
		p.position.next = steps[i].To
		s.client.MarkCommitRecords(p.last)
		if s.positions[p.last.Partition] == p.position {
			v.metrics.lag.WithLabelValues(strconv.Itoa(int(p.last.Partition))).Set(float64(max(0, p.stable-steps[i].To)))
		}
	}
	s.mu.Unlock()
	s.showRefilling()
	for _, u := range missing {
		leaveOut(v.config, v.metrics, u)
	}
	v.metrics.batches.Inc()
	v.metrics.written.Add(float64(w.Written))
	v.metrics.stale.Add(float64(w.Stale))
	s.observe(parts)
	return nil
}

// observe notes how old predictions were when they became readable, but for
// those that were made before this replica followed their partition.
func (s *session) observe(parts []written) {
	targets := map[int32]int64{}
	for _, p := range parts {
		targets[p.last.Partition] = p.target
	}
	now := s.view.config.Now().UnixMicro()
	for i := range s.batch.entries {
		if stamp := &s.batch.entries[i].Decided.Stamp; stamp.Offset >= targets[stamp.Partition] {
			took := readableAfter(stamp.DecidedUS, now)
			s.view.metrics.readable.Observe(took.Seconds())
			if l := s.view.config.Latencies; l != nil {
				l.Observe(took, 1)
			}
		}
	}
}

// maxReadable bounds how old a prediction is said to be: its topic keeps none longer.
const maxReadable = 800 * 24 * time.Hour

// readableAfter is how long it took from a decision until now, both in microseconds. It
// is no less than nothing where the clocks of two machines disagree.
func readableAfter(decided, now int64) time.Duration {
	return time.Duration(min(max(0, now-decided), maxReadable.Microseconds())) * time.Microsecond
}

// check looks whether Redis still has what was written.
func (s *session) check(ctx context.Context) error {
	var steps []Step
	s.mu.Lock()
	for p, at := range s.positions {
		steps = append(steps, Step{p, at.next, at.next})
	}
	s.mu.Unlock()
	if len(steps) == 0 { // it stands by, or still looks where to begin
		return s.view.outage.retry(ctx, s.view.store.ping)
	}
	return s.advance(ctx, steps)
}

func (s *session) advance(ctx context.Context, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	var at []int64
	err := s.view.outage.retry(ctx, func(ctx context.Context) (err error) {
		at, err = s.view.store.advance(ctx, s.log, steps)
		return err
	})
	if err != nil {
		return err
	}
	for i, t := range steps {
		if at[i] < t.To {
			return &behindError{t.Partition, t.From, at[i]}
		}
	}
	return nil
}

// missing is how many partitions have not reached what they are to reach, and by
// how many offsets.
func (s *session) missing() (partitions int, offsets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.positions {
		if p.next < p.target {
			partitions++
			offsets += p.target - p.next
		}
	}
	return partitions, offsets
}

func (s *session) showRefilling() {
	partitions, _ := s.missing()
	s.view.metrics.refilling.Set(float64(partitions))
}

func (s *session) ready() error {
	s.mu.Lock()
	joined, awaited := s.joined, len(s.awaited)
	var broken error
	for _, p := range slices.Sorted(maps.Keys(s.broken)) {
		broken = errors.Join(broken, s.broken[p])
	}
	s.mu.Unlock()
	switch {
	case !joined:
		return fmt.Errorf("not a member of group %s yet", s.view.group)
	case awaited > 0:
		return fmt.Errorf("looking where to begin: %d partitions", awaited)
	case broken != nil:
		return broken
	}
	if partitions, offsets := s.missing(); partitions > 0 {
		return fmt.Errorf("catching up: %d partitions, %d offsets to go", partitions, offsets)
	}
	return nil
}
