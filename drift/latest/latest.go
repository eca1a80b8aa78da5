// Package latest finds what the evaluator of drift said last.
package latest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Record is a status as it stands on its topic. It is not to be changed.
type Record struct {
	Status drift.Status
	JSON   []byte
}

// decode reads a record's value.
func decode(value []byte) (*Record, error) {
	r := &Record{JSON: bytes.Clone(value)}
	if err := json.Unmarshal(r.JSON, &r.Status); err != nil {
		return nil, fmt.Errorf("drift status: %w", schemas.Plain(err))
	}
	return r, nil
}

// partition is the only one of the topic.
const partition = 0

// firstLook is how many offsets before the end are looked at first: a status and
// its transaction's marker take two.
const firstLook = 8

// Read is the newest committed status, nil where there is none. next is the offset
// behind what was read.
func Read(ctx context.Context, c kafka.Config, topics schemas.Topics) (newest *Record, next int64, err error) {
	client, err := c.Connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topics.DriftStatus)); err != nil {
		return nil, 0, c.Explain(err)
	}
	next, err = Search(ctx, c.Quiet(), adm, topics, func(r *kgo.Record) bool {
		one, err := decode(r.Value)
		if err != nil { // what is no status is passed over
			return false
		}
		newest = one
		return true
	})
	if err != nil {
		return nil, 0, c.Explain(err)
	}
	return newest, next, nil
}

// Search hands on committed records of the status topic, in stretches from its end
// back, until one of a stretch is what was looked for. Within a stretch the later
// record comes later: the last one that is fits best. next is the offset behind all.
func Search(ctx context.Context, c kafka.Config, adm *kadm.Client, topics schemas.Topics, fits func(*kgo.Record) bool) (next int64, err error) {
	topic := topics.DriftStatus
	bounds, err := kafka.Bounds(ctx, adm, topic)
	if err != nil {
		return 0, err
	}
	start, end := bounds[topic][partition].From, bounds[topic][partition].To
	// Markers and aborted records hand out nothing.
	for to, look, found := end, int64(firstLook), false; !found && to > start; look *= 4 {
		from := max(start, to-look)
		err := c.ReadCommitted(ctx, kafka.Spans{topic: {partition: {From: from, To: to}}}, kafka.Sink{Unreadable: func(*kafka.UnreadableError) error {
			return nil // an older one does
		}, Each: func(r *kgo.Record) error {
			found = fits(r) || found
			return nil
		}})
		if err != nil {
			return 0, err
		}
		to = from
	}
	return end, nil
}
