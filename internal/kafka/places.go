package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Places looks after what the client does not, for a reader that knows at which offset
// each partition is to be read on: whether the records of a poll have the offsets of
// their batches (see Disorder). It asks only where offsets are left out.
type Places struct {
	config  Config
	ordered map[string]map[int32]int64 // offsets up to here are those of their batches
	silent  silent
	aside   *kgo.Client // for questions that must not wait behind fetches; nil: there were none
}

// NewPlaces returns a Places that has looked at nothing yet. It is one goroutine's.
func NewPlaces(c Config) *Places {
	return &Places{config: c.Quiet(), ordered: map[string]map[int32]int64{}}
}

// asking is the client that it asks with.
func (p *Places) asking() (client *kgo.Client, err error) {
	if p.aside == nil {
		p.aside, err = kgo.NewClient(p.config.Options()...)
	}
	return p.aside, err
}

// Close ends the asking.
func (p *Places) Close() {
	if p.aside != nil {
		p.aside.Close()
		p.aside = nil
	}
}

// TakeOut takes the records of batches that claim the offsets of others out of what was
// polled, in place, with all that came behind them of their partitions. next says from
// which offset a partition is to be read on and where its reading ends, that excluded;
// ok is false where it is not read. What was taken out is said in the manner of a poll's
// errors: each an *UnreadableError, whose To is not -1, or why a look for it failed.
func (p *Places) TakeOut(ctx context.Context, fetches kgo.Fetches, next func(topic string, partition int32) (from, end int64, ok bool)) (wrong []kgo.FetchError) {
	type partition struct {
		topic  string
		number int32
	}
	var before map[partition]int64 // where it goes on behind an earlier fetch of the poll; -1: nowhere
	for i := range fetches {
		for j := range fetches[i].Topics {
			topic := fetches[i].Topics[j].Topic
			for k := range fetches[i].Topics[j].Partitions {
				of := &fetches[i].Topics[j].Partitions[k]
				from, end, ok := next(topic, of.Partition)
				if !ok || len(of.Records) == 0 {
					continue
				}
				this := partition{topic, of.Partition}
				if earlier, again := before[this]; again && earlier < 0 {
					of.Records = of.Records[:0]
					continue
				} else if again {
					from = max(from, earlier)
				}
				goesOn := of.Records[len(of.Records)-1].Offset + 1
				u, err := p.look(ctx, topic, of.Partition, of.Records, from, end)
				if u != nil || err != nil {
					goesOn = -1
					firstWrong := from
					if u != nil {
						firstWrong, err = u.From, u
					}
					of.Records = upTo(of.Records, firstWrong)
					wrong = append(wrong, kgo.FetchError{Topic: topic, Partition: of.Partition, Err: err})
				}
				if len(fetches) > 1 { // a partition is in one fetch once
					if before == nil {
						before = map[partition]int64{}
					}
					before[this] = goesOn
				}
			}
		}
	}
	return wrong
}

// upTo are the first records, before an offset.
func upTo(records []*kgo.Record, offset int64) []*kgo.Record {
	kept := 0
	for kept < len(records) && records[kept].Offset < offset {
		kept++
	}
	return records[:kept]
}

// look looks for a batch that claims the offsets of others among records of a partition
// that was to be read on from an offset.
func (p *Places) look(ctx context.Context, topic string, partition int32, records []*kgo.Record, from, end int64) (*UnreadableError, error) {
	for len(records) > 0 && records[0].Offset < from {
		records = records[1:]
	}
	if len(records) == 0 {
		return nil, nil
	}
	last := records[len(records)-1].Offset
	if last-from+1 == int64(len(records)) || last < p.ordered[topic][partition] {
		return nil, nil
	}
	client, err := p.asking()
	if err != nil {
		return nil, err
	}
	u, ordered, err := Disorder(ctx, client, topic, partition, from, min(last, end-1))
	if err != nil {
		return nil, fmt.Errorf("looking why offsets are left out: %w", err)
	}
	if p.ordered[topic] == nil {
		p.ordered[topic] = map[int32]int64{}
	}
	p.ordered[topic][partition] = ordered
	return u, nil
}

// IsOutside says whether an error of a poll is that the client found itself outside the
// log. That need not be where everything was taken up to: a batch that claims the offsets
// of others may have led it there, and what it came from is still to be read.
func IsOutside(err error) bool {
	_, lost := errors.AsType[*kgo.ErrDataLoss](err)
	return lost
}
