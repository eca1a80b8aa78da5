package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// End is where a partition's log begins and ends.
type End struct {
	Start  int64 // first offset that is left
	Stable int64 // last stable offset: readers of committed records get no further
	High   int64 // high watermark: where the log ends
}

// Behind is how many offsets lie behind an open transaction, its own included.
func (e End) Behind() int64 { return max(0, e.High-e.Stable) }

// Ends are by topic and partition.
type Ends map[string]map[int32]End

// Spans are all that a reader of committed records finds there.
func (e Ends) Spans() Spans {
	out := Spans{}
	for topic, partitions := range e {
		out[topic] = map[int32]Span{}
		for partition, end := range partitions {
			out[topic][partition] = Span{From: end.Start, To: end.Stable}
		}
	}
	return out
}

// ListEnds looks up where every partition of topics begins and ends. The high
// watermarks are asked for before the last stable offsets, so that what arrives in
// between does not look as if a transaction held it back. With an error come the
// partitions that could be looked up all the same.
func ListEnds(ctx context.Context, adm *kadm.Client, topics ...string) (Ends, error) {
	ends := Ends{}
	starts, err1 := adm.ListStartOffsets(ctx, topics...)
	high, err2 := adm.ListEndOffsets(ctx, topics...)
	stable, err3 := adm.ListCommittedOffsets(ctx, topics...)
	for _, topic := range topics {
		ends[topic] = map[int32]End{}
		for partition, o := range stable[topic] {
			start, ok1 := starts.Lookup(topic, partition)
			end, ok2 := high.Lookup(topic, partition)
			if ok1 && ok2 && start.Err == nil && end.Err == nil && o.Err == nil {
				ends[topic][partition] = End{Start: start.Offset, Stable: o.Offset, High: max(end.Offset, o.Offset)}
			}
		}
	}
	err := cmp.Or(err1, err2, err3, starts.Error(), high.Error(), stable.Error())
	if err != nil {
		err = fmt.Errorf("listing offsets: %w", err)
	}
	return ends, err
}

// Open is what lies behind an open transaction in one partition.
type Open struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`         // last stable offset: the transaction's first record
	Records   int64     `json:"records"`        // offsets from there to the high watermark
	Since     time.Time `json:"since,omitzero"` // when the log took the first of them; zero: unknown
}

func (o Open) String() string {
	records := "records"
	if o.Records == 1 {
		records = "record"
	}
	text := fmt.Sprintf("%d %s behind an open transaction on %s/%d", o.Records, records, o.Topic, o.Partition)
	if !o.Since.IsZero() {
		text += " since " + o.Since.UTC().Format(time.RFC3339)
	}
	return text
}

// Open lists the partitions in which a transaction is open, in order.
func (e Ends) Open() (all []Open) {
	for topic, partitions := range e {
		for partition, end := range partitions {
			if n := end.Behind(); n > 0 {
				all = append(all, Open{Topic: topic, Partition: partition, Offset: end.Stable, Records: n})
			}
		}
	}
	slices.SortFunc(all, func(a, b Open) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all
}

// sinceTimeout is what looking up since when transactions are open may take.
const sinceTimeout = 3 * time.Second

// Since sets since when transactions are open: when the log took the first record of
// each. It stays unknown where a producer set that record's timestamp and it cannot be
// right, and where the record cannot be read in time.
func (c Config) Since(ctx context.Context, open []Open) error {
	at := map[string]map[int32]kgo.Offset{}
	left := map[string]map[int32]*Open{}
	for i := range open {
		o := &open[i]
		if at[o.Topic] == nil {
			at[o.Topic], left[o.Topic] = map[int32]kgo.Offset{}, map[int32]*Open{}
		}
		at[o.Topic][o.Partition] = kgo.NewOffset().At(o.Offset)
		left[o.Topic][o.Partition] = o
	}
	if len(open) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(c.Quiet().Options(),
		kgo.ConsumePartitions(at),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()), // what is open is what is read
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(1), // a whole batch at least
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	look, cancel := context.WithTimeout(ctx, sinceTimeout)
	defer cancel()
	for n := len(open); n > 0 && look.Err() == nil; {
		client.PollFetches(look).EachPartition(func(f kgo.FetchTopicPartition) {
			o := left[f.Topic][f.Partition]
			if o == nil || f.Err == nil && len(f.Records) == 0 {
				return
			}
			delete(left[f.Topic], f.Partition)
			n--
			client.RemoveConsumePartitions(map[string][]int32{f.Topic: {f.Partition}})
			if f.Err == nil {
				o.Since = appended(f.Records[0], time.Now())
			}
		})
	}
	return ctx.Err()
}

const (
	// logAppendTime is the type of a timestamp that the broker has set.
	logAppendTime = 1
	// How old a transaction may be by a producer's clock: brokers end them long before.
	maxOpen = 24 * time.Hour
)

// appended is when the log took a record. Where its producer says so, that is taken
// only if it can be: a producer that writes seconds where milliseconds belong, or whose
// clock is ahead, says nothing of it.
func appended(r *kgo.Record, now time.Time) time.Time {
	if age := now.Sub(r.Timestamp); r.Attrs.TimestampType() == logAppendTime || age >= 0 && age < maxOpen {
		return r.Timestamp
	}
	return time.Time{}
}

const (
	// OpenPatience is how long a transaction may be open before that is worth a word:
	// longer than any of creditstream's own.
	OpenPatience = 10 * time.Second
	// Between one look at whether transactions have ended and the next.
	openPause = 50 * time.Millisecond
)

// Settled lists where topics end, and waits for the transactions that are open there:
// until each partition's last stable offset has reached the high watermark of the
// first look, or a transaction has been open for as long as patience. Of the ends
// returned, High is that watermark, Stable at most that; open is what still lies
// between them.
func (c Config) Settled(ctx context.Context, adm *kadm.Client, patience time.Duration, topics ...string) (ends Ends, open []Open, err error) {
	if ends, err = ListEnds(ctx, adm, topics...); err != nil {
		return nil, nil, err
	}
	known := map[string]map[int32]Open{} // since when
	for began := time.Now(); ; {
		open = ends.Open()
		waiting, asked := false, []Open{}
		for i, o := range open {
			if before, ok := known[o.Topic][o.Partition]; ok && before.Offset == o.Offset {
				open[i].Since = before.Since
			} else {
				asked = append(asked, o)
			}
		}
		// Most end at once: since when is asked only of those that are still there.
		if time.Since(began) >= min(patience, time.Second) && len(asked) > 0 {
			if err := c.Since(ctx, asked); err != nil {
				return nil, nil, err
			}
			for _, o := range asked {
				if known[o.Topic] == nil {
					known[o.Topic] = map[int32]Open{}
				}
				known[o.Topic][o.Partition] = o
			}
			continue
		}
		for _, o := range open {
			waiting = waiting || o.Since.IsZero() || time.Since(o.Since) < patience
		}
		if !waiting || time.Since(began) >= patience {
			return ends, open, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(openPause):
		}
		now, err := ListEnds(ctx, adm, topics...)
		if err != nil {
			return nil, nil, err
		}
		for topic, partitions := range ends {
			for partition, end := range partitions {
				end.Stable = max(end.Stable, min(now[topic][partition].Stable, end.High))
				partitions[partition] = end
			}
		}
	}
}

// Hanging are the transactions that have been open at the given ends for so long that
// that is worth a word. It waits for nothing: which ones it cannot say since when are
// left out.
func (c Config) Hanging(ctx context.Context, ends Ends) ([]Open, error) {
	open := ends.Open()
	if err := c.Since(ctx, open); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(open, func(o Open) bool { return o.Since.IsZero() || time.Since(o.Since) < OpenPatience }), nil
}

// HangingOn is Hanging at the topics' ends as they are now.
func (c Config) HangingOn(ctx context.Context, topics ...string) ([]Open, error) {
	client, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := ListEnds(ctx, kadm.NewClient(client), topics...)
	if err != nil {
		return nil, err
	}
	return c.Hanging(ctx, ends)
}
