// Package verify judges a run from its topics: whether every application was
// answered exactly once, with what it says, by a decision that can be computed
// again.
//
// It never keeps a value. For every source offset it holds three bits (a record
// is there; it was answered; it cannot be decoded) and for every 256 of them one
// sum: what the applications say, added, less what their answers say. A sum that
// is not zero names 256 offsets that are looked at one by one in a second
// reading. 10 million applications take about 4 MB, and a few MB more for the
// ids of one partition at a time.
package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// UnreproducibleError is what Recompute returns where the model, route, policy or
// engine of a prediction is not at hand.
type UnreproducibleError struct {
	Why string // without what varies from prediction to prediction
}

func (e *UnreproducibleError) Error() string { return "the decision cannot be made again: " + e.Why }

// Config says what to judge.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	Group  string      // of the scorers judged
	From   time.Time   // applications appended before it are not judged; zero: all
	// Recompute decides again from what a prediction carries, with the model,
	// route and policy it names. It keeps neither the prediction nor its result;
	// any error but an *UnreproducibleError ends the run.
	Recompute func(p *schemas.Prediction) (schemas.Prediction, error)
}

// run is one judgement.
type run struct {
	Config
	admin  *kadm.Client
	report *Report

	source  map[int32]*ledger          // by partition of applications
	outputs kafka.Spans                // of predictions and dead letters
	first   map[output]map[int32]int64 // first source offset seen in an output partition, by source partition

	// Partitions of outputs in which records lie behind an open transaction, and there
	// the last source offset seen, by source partition.
	hidden  map[output]map[int32]int64
	pending map[int32]kafka.Span // of applications that are counted one by one
	// Of partitions with so much uncommitted that it is not looked at, where that begins.
	backlogs     map[int32]int64
	countsAtMost int64

	last  map[output]map[int32]int64 // last source offset seen, as first
	holes []*hole                    // batches of outputs that cannot be read

	patience     time.Duration // with open transactions
	blocksAtOnce int           // looked at again in one reading
	idsAtOnce    int64

	app        schemas.Application
	prediction schemas.Prediction
	buf        []byte
}

// output is a partition of predictions or dead letters.
type output struct {
	topic     string
	partition int32
}

// Run judges what the group has committed, however much is going on meanwhile.
func Run(ctx context.Context, c Config) (*Report, error) {
	return newRun(c).judge(ctx)
}

func newRun(c Config) *run {
	return &run{
		Config: c, patience: kafka.OpenPatience, blocksAtOnce: blocksAtOnce, idsAtOnce: idsAtOnce,
		report: &Report{Group: c.Group, Open: []kafka.Open{}, UnreproducibleBy: []Lacking{}, Examples: []Example{}},
		source: map[int32]*ledger{}, first: map[output]map[int32]int64{}, hidden: map[output]map[int32]int64{}, pending: map[int32]kafka.Span{},
		backlogs: map[int32]int64{}, countsAtMost: countedPending,
		last: map[output]map[int32]int64{},
	}
}

func (r *run) judge(ctx context.Context) (*Report, error) {
	client, err := r.Kafka.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r.admin = kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, r.admin, kafka.Reads(r.Topics.Applications, r.Topics.Predictions, r.Topics.DLQ)); err != nil {
		return nil, err
	}
	stopped := func(ctx context.Context) error { return r.countStopped(ctx, client) }
	for _, step := range []func(context.Context) error{
		r.fixInput, r.countPending, stopped, r.fixOutput, r.readApplications, r.readAnswers, r.settle, r.recheck,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.report, nil
}

// fixInput takes the group's committed offsets as the ends of what is judged.
func (r *run) fixInput(ctx context.Context) error {
	topic := r.Topics.Applications
	committed, err := r.admin.FetchOffsetsForTopics(ctx, r.Group, topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("reading the offsets of group %s: %w", r.Group, err)
	}
	ends, open, err := r.Kafka.Settled(ctx, r.admin, r.patience, topic)
	if err != nil {
		return err
	}
	r.report.Open = append(r.report.Open, open...)
	var since kadm.ListedOffsets
	if !r.From.IsZero() {
		if since, err = kafka.Listed(r.admin.ListOffsetsAfterMilli(ctx, r.From.UnixMilli(), topic)); err != nil {
			return err
		}
	}
	found, removed := false, map[int32]int64{}
	for partition, whole := range ends[topic] {
		start, end, from := whole.Start, whole.Stable, since[topic][partition].Offset
		o, ok := committed.Lookup(topic, partition)
		if ok && o.Err != nil {
			return fmt.Errorf("reading the offset of group %s on %s/%d: %w", r.Group, topic, partition, o.Err)
		}
		if !ok || o.At < 0 {
			r.wait(partition, start, end)
			continue
		}
		found = true
		if o.At > end {
			return fmt.Errorf("group %s has committed offset %d of %s/%d, which ends at %d: the topic was made anew, or lost records", r.Group, o.At, topic, partition, end)
		}
		r.wait(partition, max(o.At, start), end)
		if from <= start { // else all that is gone was appended before what is judged
			removed[partition] = min(start, o.At)
			r.gone(partition, o.At, start)
		}
		r.source[partition] = newLedger(max(start, from), o.At)
	}
	if !found {
		return fmt.Errorf("group %s has no committed offsets on %s: nothing to judge", r.Group, topic)
	}
	for _, partition := range r.partitions() {
		r.removed(partition, removed[partition])
	}
	return nil
}

// removed counts and names the first offsets of a partition, which the group has
// committed: retention has removed them, before they were answered or since.
func (r *run) removed(partition int32, offsets int64) {
	if offsets <= 0 {
		return
	}
	r.report.Unjudgeable += offsets
	why := "it has left the log"
	if offsets > 1 {
		why = fmt.Sprintf("with every offset up to %d: they have left the log", offsets-1)
	}
	r.report.example(Unjudgeable, schemas.Source{Topic: r.Topics.Applications, Partition: partition}, why)
}

// countedPending is how many offsets of a partition are looked at to tell applications
// that wait from the ends of transactions, which nobody commits past.
const countedPending = 10_000

// wait notes offsets that the group has not committed.
func (r *run) wait(partition int32, from, to int64) {
	switch n := to - from; {
	case n > r.countsAtMost:
		r.report.Pending += n
		r.backlogs[partition] = from
	case n > 0:
		r.pending[partition] = kafka.Span{From: from, To: to}
	}
}

// pendingTimeout is what counting may take.
const pendingTimeout = 10 * time.Second

// countPending counts the applications among the offsets noted, and those in batches
// that cannot be read, at which the group has stopped, apart. Where they cannot be
// looked at in time, the offsets count.
func (r *run) countPending(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, pendingTimeout)
	defer cancel()
	n := int64(0)
	var broken []*kafka.UnreadableError
	err := r.Kafka.Quiet().ReadCommitted(look, kafka.Spans{r.Topics.Applications: r.pending}, kafka.Sink{
		Each: func(*kgo.Record) error {
			n++
			return nil
		},
		Unreadable: func(u *kafka.UnreadableError) error {
			if errors.Is(u.Err, kgo.ErrMaxDecompress) { // its letters will answer them
				n += u.To - u.From
			} else {
				broken = append(broken, u)
			}
			return nil
		},
	})
	if err != nil {
		n, broken = 0, nil
		for _, s := range r.pending {
			n += s.To - s.From
		}
	}
	r.report.Pending += n
	for _, u := range broken {
		r.stoppedAt(u)
	}
	return ctx.Err()
}

// countStopped looks whether the group has stopped at a batch that cannot be read where
// so much waits behind it that its offsets were counted unseen.
func (r *run) countStopped(ctx context.Context, client *kgo.Client) error {
	for partition, from := range r.backlogs {
		u, _, err := kafka.Unreadable(ctx, client, r.Topics.Applications, partition, from)
		if err != nil {
			return fmt.Errorf("looking at what waits in %s/%d: %w", r.Topics.Applications, partition, err)
		}
		if u == nil || errors.Is(u.Err, kgo.ErrMaxDecompress) {
			continue
		}
		r.report.Pending -= u.To - u.From
		r.stoppedAt(u)
	}
	return nil
}

// gone counts the offsets between what the group had committed and where the log
// begins: no answer to them was ever committed, and none will be, for the
// applications are not there any more. What was no application among them, such as
// the end of a transaction, cannot be told apart now.
func (r *run) gone(partition int32, committed, start int64) {
	n := start - committed
	if n <= 0 {
		return
	}
	r.report.Lost += n
	why := "left the log before it was answered"
	if n > 1 {
		why += ", with every offset up to " + strconv.FormatInt(start-1, 10)
	}
	r.report.example(Lost, schemas.Source{Topic: r.Topics.Applications, Partition: partition, Offset: committed}, why)
}

// fixOutput takes the ends of predictions and dead letters as they are now that
// the input is fixed. What was committed with those offsets lies below the high
// watermarks, not always below the last stable offsets: a transaction's markers
// reach its partitions one after the other. Those that are still to come are waited
// for. What lies behind a transaction that hangs cannot be read.
func (r *run) fixOutput(ctx context.Context) error {
	ends, open, err := r.Kafka.Settled(ctx, r.admin, r.patience, r.Topics.Predictions, r.Topics.DLQ)
	if err != nil {
		return err
	}
	r.report.Open = append(r.report.Open, open...)
	for _, o := range open {
		r.hidden[output{o.Topic, o.Partition}] = map[int32]int64{}
	}
	r.outputs = ends.Spans()
	return nil
}
