// Package recent finds the decisions that were made last, and what is known of
// their loans.
package recent

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Most is how many can be asked for: each takes about 300 bytes of memory.
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
	Defaulted          uint8 // where it is known: the first outcome told
}

// Read is the last N decisions, oldest first, fewer where there are no more.
// leftOut counts records that are no predictions. Partitions are read backwards:
// what lies before a decision in its partition is taken to be older.
func Read(ctx context.Context, c Config) (decisions []Decision, leftOut int64, err error) {
	if c.N < 1 || c.N > Most {
		return nil, 0, fmt.Errorf("the last %d: expected 1 … %d", c.N, Most)
	}
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(c.Topics.Predictions, c.Topics.Outcomes)); err != nil {
		return nil, 0, c.Kafka.Explain(err)
	}
	ends, err := kafka.Listed(adm.ListCommittedOffsets(ctx, c.Topics.Predictions))
	if err != nil {
		return nil, 0, err
	}
	search := Search[schemas.Prediction]{
		Kafka: c.Kafka, Topic: c.Topics.Predictions, Codec: c.Codec, N: c.N, Ends: map[int32]int64{},
		Take: func(_ *kgo.Record, p *schemas.Prediction) (schemas.Prediction, bool) {
			kept := *p
			kept.Reasons, kept.Shadow = nil, nil // they belong to the decoder
			return kept, true
		},
	}
	for partition, end := range ends[c.Topics.Predictions] {
		search.Ends[partition] = end.Offset
	}
	found, leftOut, err := search.Run(ctx, adm)
	if err != nil {
		return nil, 0, err
	}
	decisions = make([]Decision, len(found))
	for i := range found {
		decisions[i].Prediction = found[i].Kept
	}
	malformed, err := c.join(ctx, adm, decisions)
	if err != nil {
		return nil, 0, err
	}
	return decisions, leftOut + malformed, nil
}

// join looks for the outcomes of decisions, the oldest of which is first: they are
// told after the decision. leftOut counts records that are no outcomes.
func (c *Config) join(ctx context.Context, adm *kadm.Client, decisions []Decision) (leftOut int64, err error) {
	if len(decisions) == 0 {
		return 0, nil
	}
	topic := c.Topics.Outcomes
	spans, err := kafka.Appended(ctx, adm, topic, decisions[0].DecidedAt.Time(), time.Time{})
	if err != nil {
		return 0, err
	}
	byID := make(map[string][]*Decision, len(decisions))
	for i := range decisions {
		d := &decisions[i]
		byID[d.ApplicationID] = append(byID[d.ApplicationID], d)
	}
	var o schemas.Outcome
	err = c.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: spans}, kafka.Sink{Unreadable: func(u *kafka.UnreadableError) error {
		leftOut += u.Offsets()
		return nil
	}, Each: func(record *kgo.Record) error {
		of, wanted := byID[string(record.Key)]
		if !wanted {
			return nil
		}
		if err := c.Codec.DecodeOutcome(ctx, record.Value, &o); err != nil {
			leftOut++
			return broken(record, err)
		}
		for _, d := range of {
			if !d.Known {
				d.Known, d.Defaulted = true, o.Defaulted
			}
		}
		return nil
	}})
	return leftOut, err
}
