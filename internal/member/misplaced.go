package member

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
)

// order looks after what the client does not: whether the records of a poll have the
// offsets that come next. Its maps are by partition, and the turn's own.
type order struct {
	next    map[int32]int64                  // offset behind what was polled last
	checked map[int32]int64                  // offset up to which all batches are known to be in their places
	wrong   map[int32]*kafka.UnreadableError // what is polled past and must not be committed
	asking  *kgo.Client                      // for questions that must not wait behind a fetch; nil: there were none
}

func (o *order) begin() {
	o.next, o.checked, o.wrong = map[int32]int64{}, map[int32]int64{}, map[int32]*kafka.UnreadableError{}
}

// abort forgets what was polled: it is polled again.
func (o *order) abort() {
	clear(o.next)
	clear(o.wrong)
}

func (o *order) end() {
	if o.asking != nil {
		o.asking.Close()
		o.asking = nil
	}
}

// takeOut takes the records of batches that claim the offsets of others out of what was
// polled, in place, and all that came behind them, and stops their partitions. Offsets
// are left out by transactions that were aborted too: then the log is looked at.
func (m *Member) takeOut(ctx context.Context, client *kgo.Client, fetches kgo.Fetches) {
	for i := range fetches {
		for j := range fetches[i].Topics {
			partitions := fetches[i].Topics[j].Partitions
			for k := range partitions {
				p := &partitions[k]
				n := len(p.Records)
				if n == 0 {
					continue
				}
				if m.order.wrong[p.Partition] != nil {
					p.Records = p.Records[:0]
					continue
				}
				first, last := p.Records[0].Offset, p.Records[n-1].Offset
				if next, known := m.order.next[p.Partition]; !known || first != next || last-first+1 != int64(n) {
					m.suspect(ctx, client, p)
				}
				if m.order.wrong[p.Partition] == nil {
					m.order.next[p.Partition] = last + 1
				}
			}
		}
	}
}

// suspect looks for a batch that is out of its place in what was polled of a partition.
func (m *Member) suspect(ctx context.Context, client *kgo.Client, p *kgo.FetchPartition) {
	topic := m.config.Topic
	committed, owned := client.CommittedOffsets()[topic][p.Partition]
	if !owned {
		return // it cannot be committed either
	}
	n := len(p.Records)
	first, last, from := p.Records[0].Offset, p.Records[n-1].Offset, committed.Offset
	if next := m.order.next[p.Partition]; next > from && next <= first {
		from = next // else the client was set back since
	}
	if last-from+1 == int64(n) || last < m.order.checked[p.Partition] {
		return
	}
	if m.order.asking == nil {
		asking, err := kgo.NewClient(m.config.Kafka.Quiet().Options()...)
		if err != nil {
			return // the settings are those of this client
		}
		m.order.asking = asking
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	u, checked, err := kafka.Disorder(ctx, m.order.asking, topic, p.Partition, from, last)
	m.order.checked[p.Partition] = checked
	if u == nil {
		if err != nil {
			m.config.Log.Warn("cannot look why offsets are left out", "topic", topic, "partition", p.Partition, "from", from, "to", last, "error", err)
		}
		return
	}
	kept := 0
	for kept < n && p.Records[kept].Offset < u.From {
		kept++
	}
	p.Records = p.Records[:kept]
	m.order.wrong[p.Partition] = u
	m.config.Reach.stop(ctx, client, p.Partition, u)
}

// setBack makes a client read on where a batch is that is out of its place, before which
// everything is answered.
func (m *Member) setBack(client *kgo.Client) {
	for partition, u := range m.order.wrong {
		if _, owned := client.CommittedOffsets()[m.config.Topic][partition]; owned {
			m.set(client, partition, u.From)
			m.order.next[partition] = u.From
		}
	}
	clear(m.order.wrong)
}

// notBeyond keeps a commit of what was polled from going past batches out of their place.
func (m *Member) notBeyond(ctx context.Context) context.Context {
	if len(m.order.wrong) == 0 {
		return ctx
	}
	return kgo.PreTxnCommitFnContext(ctx, func(commit *kmsg.TxnOffsetCommitRequest) error {
		for i := range commit.Topics { // there is one
			partitions := commit.Topics[i].Partitions
			for j := range partitions {
				if u := m.order.wrong[partitions[j].Partition]; u != nil {
					partitions[j].Offset = min(partitions[j].Offset, u.From)
				}
			}
		}
		return nil
	})
}
