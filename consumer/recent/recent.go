// Package recent finds the decisions that were made last, and what is known of
// their loans.
package recent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Most is how many can be asked for: each takes about 350 bytes of memory.
const Most = 1_000_000

// Config says what is read.
type Config struct {
	Kafka  kafka.Config
	Topics schemas.Topics
	Codec  *wire.Codec // nil: JSON only
	N      int         // 1 … Most
}

// Decision is one that was made lately.
type Decision struct {
	schemas.Prediction // without reasons and shadow
	Known              bool
	Defaulted          uint8 // where it is known: the first outcome that is of it

	at      labels.Decision
	differs bool  // the record's key is not the application_id
	told    int64 // when the log took the outcome, Unix milliseconds
}

// LeftOut counts what was read and is not handed out.
type LeftOut struct {
	Records    int64 // not what their topic holds
	Unreadable kafka.Unread
}

// Apart counts records that are not what they should be.
type Apart struct {
	LeftOut
	PredictionKeyDiffers int64 // of the decisions: the record's key is not the application_id, which is what counts
	// Outcomes that the log took since the first of the decisions; all of them where it
	// holds no more decisions. One of an earlier decision is unmatched.
	Outcomes labels.Counts

	Open []kafka.Open // transactions that hang: what lies behind them was not read
}

// Read is the last N decisions, oldest first, fewer where there are no more, each
// with the outcome that is of it, see package labels. Partitions are read backwards:
// what lies before a decision in its partition is taken to be older.
func Read(ctx context.Context, c Config) (decisions []Decision, apart Apart, err error) {
	if c.N < 1 || c.N > Most {
		return nil, apart, fmt.Errorf("the last %d: expected 1 … %d", c.N, Most)
	}
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return nil, apart, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(c.Topics.Predictions, c.Topics.Outcomes)); err != nil {
		return nil, apart, c.Kafka.Explain(err)
	}
	ends, open, err := c.Kafka.Settled(ctx, adm, kafka.OpenPatience, c.Topics.Predictions, c.Topics.Outcomes)
	if err != nil {
		return nil, apart, err
	}
	apart.Open = open
	search := Search[Decision]{
		Kafka: c.Kafka, Topic: c.Topics.Predictions, Codec: c.Codec, N: c.N, Ends: map[int32]int64{},
		Take: func(r *kgo.Record, p *schemas.Prediction) (Decision, bool) {
			d := Decision{Prediction: *p, differs: string(r.Key) != p.ApplicationID, at: labels.Decision{
				Decided: p.DecidedAt, Appended: r.Timestamp.UnixMilli(), Partition: r.Partition, Offset: r.Offset,
			}}
			d.Reasons, d.Shadow = nil, nil // they belong to the decoder
			return d, true
		},
	}
	for partition, end := range ends[c.Topics.Predictions] {
		search.Ends[partition] = end.Stable
	}
	found, leftOut, err := search.Run(ctx, adm)
	if err != nil {
		return nil, apart, err
	}
	apart.LeftOut = leftOut
	decisions = make([]Decision, len(found))
	for i := range found {
		decisions[i] = found[i].Kept
		if decisions[i].differs {
			apart.PredictionKeyDiffers++
		}
	}
	err = c.join(ctx, adm, decisions, &apart)
	return decisions, apart, err
}

// join looks for the outcomes of decisions, the oldest of which is first: they are
// told after the decision. An outcome of an earlier decision than these is of none of
// them, so where the log may hold more decisions, earlier outcomes are not read.
func (c *Config) join(ctx context.Context, adm *kadm.Client, decisions []Decision, apart *Apart) error {
	topic, since := c.Topics.Outcomes, time.Time{}
	if len(decisions) == c.N {
		since = decisions[0].DecidedAt.Time()
	}
	spans, err := kafka.Appended(ctx, adm, topic, since, time.Time{})
	if err != nil {
		return err
	}
	byID := make(map[string][]*Decision, len(decisions))
	for i := range decisions {
		d := &decisions[i]
		byID[d.ApplicationID] = append(byID[d.ApplicationID], d)
	}
	for _, of := range byID {
		slices.SortFunc(of, func(a, b *Decision) int { return b.at.Compare(a.at) })
	}
	var o schemas.Outcome
	return c.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: spans}, kafka.Sink{Unreadable: apart.Unreadable.PassOver, Each: func(record *kgo.Record) error {
		if err := c.Codec.DecodeOutcome(ctx, record.Value, &o); err != nil {
			apart.Records++
			if wire.IsBroken(err) {
				apart.Outcomes.Malformed++
			}
			return broken(record, err)
		}
		if string(record.Key) != o.ApplicationID {
			apart.Outcomes.KeyDiffers++
		}
		of := byID[o.ApplicationID]
		told, at := record.Timestamp.UnixMilli(), 0
		_, is := labels.Find(labels.Outcome{Observed: o.ObservedAt, Appended: told}, func(yield func(labels.Decision) bool) {
			for i := range of {
				if at = i; !yield(of[i].at) {
					return
				}
			}
		})
		apart.Outcomes.Count(is, is == labels.Matched && !of[at].Known)
		if is != labels.Matched {
			return nil
		}
		if d := of[at]; !d.Known || told < d.told {
			d.Known, d.Defaulted, d.told = true, o.Defaulted, told
		}
		return nil
	}})
}
