package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/kafka"
)

// Oversized is a batch that unpacks to more than kafka.MaxBatch. Its records are never
// seen; its header says which offsets they have.
type Oversized struct {
	Partition int32
	From, To  int64 // To excluded
}

// oversizedAtOnce is how many of its offsets one transaction answers.
const oversizedAtOnce = 10_000

// tooLarge notes a batch that is too large to be unpacked. The client stops at it, and
// fetches its partition again when it is told where.
func (m *Member) tooLarge(e kgo.FetchError) bool {
	large, ok := errors.AsType[*kgo.ErrDecompressTooLarge](e.Err)
	if !ok || !m.config.Oversized {
		return false
	}
	m.oversized[large.Partition] = Oversized{large.Partition, large.Offset, large.NextOffset}
	return true
}

// Oversized is a batch to be answered before the next poll, for everything before it in
// its partition has been; ok is false where there is none.
func (m *Member) Oversized() (o Oversized, ok bool) {
	for _, o := range m.oversized {
		return o, true
	}
	return o, false
}

// fetchAgain makes a client come to the batches again that it stopped at: what lies
// before them may have to be answered first, after all.
func (m *Member) fetchAgain(client *kgo.Client) {
	for partition := range m.oversized {
		at, owned := client.CommittedOffsets()[m.config.Topic][partition]
		if owned {
			kafka.ReadAgain(client, m.config.Topic, partition, at.Offset)
		}
	}
	clear(m.oversized)
}

func (m *Member) set(client *kgo.Client, partition int32, offset int64) {
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{m.config.Topic: {partition: {Epoch: -1, Offset: offset}}})
}

// Answer writes what produce hands to the client for the offsets from … to-1 of a batch
// that is too large, and commits that they are answered, in one transaction as Commit
// does. A large one takes several: to is then short of its end, and the client comes to
// it again. Where the partition has moved, or the batch's transaction was aborted,
// nothing is answered.
func (m *Member) Answer(ctx context.Context, sess *kgo.GroupTransactSession, now func() time.Time, o Oversized,
	produce func(ctx context.Context, from, to int64, promise func() func(*kgo.Record, error)) error,
) (committed bool, cause, err error) {
	client, topic := sess.Client(), m.config.Topic
	at, owned := client.CommittedOffsets()[topic][o.Partition]
	if !owned {
		delete(m.oversized, o.Partition)
		return false, nil, nil
	}
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	aborted, err := kafka.Aborted(look, client, topic, o.Partition, o.From)
	cancel()
	if err != nil {
		return false, nil, fmt.Errorf("looking at the batch of %s/%d at offset %d: %w", topic, o.Partition, o.From, err)
	}
	from := max(o.From, at.Offset)
	if aborted || from >= o.To {
		delete(m.oversized, o.Partition)
		m.set(client, o.Partition, o.To)
		return false, nil, nil
	}
	to := min(o.To, from+oversizedAtOnce)
	committed, cause, err = m.commit(ctx, sess, now, func(ctx context.Context, promise func() func(*kgo.Record, error)) error {
		return produce(ctx, from, to, promise)
	}, func(ctx context.Context) error {
		if _, owned := client.CommittedOffsets()[topic][o.Partition]; !owned {
			return kerr.RebalanceInProgress
		}
		return m.commitOffset(ctx, client, o.Partition, to)
	})
	if !committed {
		m.fetchAgain(client)
		return false, cause, err
	}
	delete(m.oversized, o.Partition)
	m.set(client, o.Partition, to)
	return true, nil, nil
}

// commitOffset puts an offset into the client's transaction, in the member's name. The
// client itself commits only what it has polled.
func (m *Member) commitOffset(ctx context.Context, client *kgo.Client, partition int32, offset int64) error {
	producer, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return err
	}
	topics, err := kadm.NewClient(client).ListTopics(ctx, m.config.Topic)
	if err != nil {
		return err
	}
	member, generation := client.GroupMetadata()
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch = m.config.ID, producer, epoch
	commit.Group, commit.Generation, commit.MemberID = m.config.Group, generation, member
	if m.config.Static {
		commit.InstanceID = kmsg.StringPtr(m.config.ID)
	}
	t, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch = partition, offset, -1
	t.Topic, t.TopicID, t.Partitions = m.config.Topic, topics[m.config.Topic].ID, append(t.Partitions, p)
	commit.Topics = append(commit.Topics, t)
	return commitInTransaction(ctx, client, commit)
}

// commitInTransaction adds a group to a transaction and commits its offsets in it.
func commitInTransaction(ctx context.Context, client *kgo.Client, commit *kmsg.TxnOffsetCommitRequest) error {
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group
	err := untilAnswered(ctx, func() error {
		added, err := add.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(added.ErrorCode)
	})
	if err != nil {
		return err
	}
	return untilAnswered(ctx, func() error {
		done, err := commit.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		for _, t := range done.Topics {
			for _, p := range t.Partitions {
				err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
			}
		}
		return err
	})
}
