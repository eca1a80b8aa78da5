package member

import (
	"context"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
)

const (
	// What looks at where offsets are left out may take outside a transaction: more than
	// the 10 s for which Kafka holds back an answer over a quota.
	gapTimeout = 15 * time.Second
	// How long a partition is left alone where the look at it failed.
	lookPause = time.Second
)

// order looks after what the client does not: whether the records of a poll have the
// offsets that come next. Its maps are by partition, and the turn's own.
type order struct {
	next    map[int32]int64 // offset behind what was polled last
	checked map[int32]int64 // offset up to which all batches are known to be in their places
	back    map[int32]int64 // offset at which a partition is read again: what was polled behind it must not be committed
	unseen  []int32         // partitions that are paused because the look at them failed
	due     time.Time       // when they are read again
	asking  *kgo.Client     // for questions that must not wait behind a fetch; nil: there were none
}

func (o *order) begin() {
	o.next, o.checked, o.back, o.unseen = map[int32]int64{}, map[int32]int64{}, map[int32]int64{}, nil
}

// abort forgets what was polled: it is polled again.
func (o *order) abort() {
	clear(o.next)
	clear(o.back)
}

func (o *order) end() {
	if o.asking != nil {
		o.asking.Close()
		o.asking = nil
	}
}

// takeOut takes the records of batches that claim the offsets of others out of what was
// polled, in place, and all that came behind them, and stops their partitions. Offsets
// are left out by transactions that were aborted too: then the log is looked at, for so
// long. What that look does not come to is taken out as well, and read again.
func (m *Member) takeOut(ctx context.Context, client *kgo.Client, fetches kgo.Fetches, within time.Duration) {
	look, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for i := range fetches {
		for j := range fetches[i].Topics {
			partitions := fetches[i].Topics[j].Partitions
			for k := range partitions {
				p := &partitions[k]
				n := len(p.Records)
				if n == 0 {
					continue
				}
				if _, set := m.order.back[p.Partition]; set {
					p.Records = p.Records[:0]
					continue
				}
				first, last := p.Records[0].Offset, p.Records[n-1].Offset
				if next, known := m.order.next[p.Partition]; !known || first != next || last-first+1 != int64(n) {
					m.suspect(ctx, look, client, p)
				}
				if _, set := m.order.back[p.Partition]; !set {
					m.order.next[p.Partition] = last + 1
				}
			}
		}
	}
}

// suspect looks for a batch that is out of its place in what was polled of a partition.
func (m *Member) suspect(ctx, look context.Context, client *kgo.Client, p *kgo.FetchPartition) {
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
	u, checked, err := kafka.Disorder(look, m.order.asking, topic, p.Partition, from, last)
	m.order.checked[p.Partition] = checked
	switch {
	case u != nil:
		m.readAgain(p, u.From)
		m.config.Reach.stop(ctx, client, p.Partition, u)
	case err != nil:
		m.readAgain(p, checked)
		client.PauseFetchPartitions(map[string][]int32{topic: {p.Partition}})
		m.order.unseen = append(m.order.unseen, p.Partition)
		m.order.due = time.Now().Add(min(lookPause, m.config.Reach.config.Retry))
		if ctx.Err() == nil {
			m.config.Log.Warn("cannot look why offsets are left out; reading them again", "topic", topic, "partition", p.Partition, "from", checked, "to", last, "error", err)
		}
	}
}

// readAgain takes out what was polled of a partition from an offset on, which is where it
// is read again.
func (m *Member) readAgain(p *kgo.FetchPartition, from int64) {
	kept := 0
	for kept < len(p.Records) && p.Records[kept].Offset < from {
		kept++
	}
	p.Records = p.Records[:kept]
	m.order.back[p.Partition] = from
}

// lookAgain lets a client read on where looks failed a while ago, and says how long a
// poll may wait: for so long, or until that is due.
func (m *Member) lookAgain(client *kgo.Client, wait time.Duration) time.Duration {
	if len(m.order.unseen) == 0 {
		return wait
	}
	if left := time.Until(m.order.due); left > 0 {
		return min(wait, left)
	}
	client.ResumeFetchPartitions(map[string][]int32{m.config.Topic: m.order.unseen})
	m.order.unseen = nil
	return wait
}

// fetchAborted makes a client that stopped at a batch while a transaction went on, which is
// aborted, come to it again: it is told nothing by an offset that stays as it was.
func (m *Member) fetchAborted(client *kgo.Client) {
	for partition := range m.order.back {
		if at, owned := client.CommittedOffsets()[m.config.Topic][partition]; owned {
			kafka.ReadAgain(client, m.config.Topic, partition, at.Offset)
		}
	}
}

// forgetMoved forgets where to read again what was answered elsewhere since: the partition
// moved to another member and back while it was looked at. Nothing was committed here.
func (m *Member) forgetMoved(client *kgo.Client) {
	if len(m.order.back) == 0 {
		return
	}
	committed := client.CommittedOffsets()[m.config.Topic]
	maps.DeleteFunc(m.order.back, func(partition int32, from int64) bool { return committed[partition].Offset > from })
}

// setBack makes a client read on where what was polled was taken out, before which
// everything is answered.
func (m *Member) setBack(client *kgo.Client) {
	for partition, from := range m.order.back {
		if _, owned := client.CommittedOffsets()[m.config.Topic][partition]; owned {
			m.set(client, partition, from)
			m.order.next[partition] = from
		}
	}
	clear(m.order.back)
}

// notBeyond keeps a commit of what was polled from going past what was taken out of it,
// which may be while the transaction goes on.
func (m *Member) notBeyond(ctx context.Context) context.Context {
	return kgo.PreTxnCommitFnContext(ctx, func(commit *kmsg.TxnOffsetCommitRequest) error {
		for i := range commit.Topics { // there is one
			partitions := commit.Topics[i].Partitions
			for j := range partitions {
				if from, set := m.order.back[partitions[j].Partition]; set {
					partitions[j].Offset = min(partitions[j].Offset, from)
				}
			}
		}
		return nil
	})
}
