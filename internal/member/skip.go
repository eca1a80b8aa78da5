package member

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/retry"
)

// Skip names a batch that cannot be read and is to be passed over.
type Skip struct {
	Topic     string // as it was written: with the prefix or without
	Partition int32
	Offset    int64
	Last      int64 // of the batch's offsets; -1: what the batch says
}

func (s Skip) String() string {
	text := fmt.Sprintf("%s/%d@%d", s.Topic, s.Partition, s.Offset)
	if s.Last >= 0 {
		text += fmt.Sprintf("-%d", s.Last)
	}
	return text
}

// ParseSkip reads TOPIC/PARTITION@OFFSET or TOPIC/PARTITION@FIRST-LAST.
func ParseSkip(text string) (Skip, error) {
	wrong := fmt.Errorf("--skip %q: expected TOPIC/PARTITION@OFFSET, or TOPIC/PARTITION@FIRST-LAST", text)
	name, offsets, at := strings.Cut(text, "@")
	slash := strings.LastIndexByte(name, '/')
	if !at || slash < 1 {
		return Skip{}, wrong
	}
	first, last, whole := strings.Cut(offsets, "-")
	partition, err1 := strconv.ParseInt(name[slash+1:], 10, 32)
	offset, err2 := strconv.ParseInt(first, 10, 64)
	s := Skip{Topic: name[:slash], Partition: int32(partition), Offset: offset, Last: -1}
	var err3 error
	if whole {
		s.Last, err3 = strconv.ParseInt(last, 10, 64)
	}
	if err1 != nil || err2 != nil || err3 != nil || partition < 0 || offset < 0 || whole && s.Last < offset {
		return Skip{}, wrong
	}
	return s, nil
}

// Pass commits, for a group that may have members, offsets behind batches of a topic
// that cannot be read. The members go on from there at their next attempt. It
// refuses what can be read, and what the group has not come to yet; what lies behind
// the group already is left alone.
func (n Needs) Pass(ctx context.Context, topic string, skips []Skip, log *slog.Logger) error {
	if len(skips) == 0 {
		return nil
	}
	// Only a member may commit for a group that has members, or a transaction. It
	// takes the requests by hand, and no newer than those that are the same on every
	// broker.
	client, err := n.Kafka.Connect(ctx, kgo.TransactionalID(n.TransactionalID("0")), kgo.TransactionTimeout(TransactionTimeout),
		kgo.MaxVersions(kversion.V3_0_0()))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	for _, s := range skips {
		committed, err := adm.FetchOffsetsForTopics(ctx, n.Group, topic)
		if err != nil {
			return fmt.Errorf("reading the offsets of group %s: %w", n.Group, err)
		}
		o, ok := committed.Lookup(topic, s.Partition)
		switch {
		case !ok:
			return Permanent(nil, "--skip %s: topic %s has no partition %d", s, topic, s.Partition)
		case o.Err != nil:
			return fmt.Errorf("reading the offset of group %s on %s/%d: %w", n.Group, topic, s.Partition, o.Err)
		case o.At > s.Offset:
			log.Info("nothing to skip: the group is past it", "skip", s.String(), "group", n.Group, "offset", o.At)
			continue
		}
		found, err := n.unreadable(ctx, client, topic, s, max(0, o.At))
		if err != nil {
			return err
		}
		if err := n.commit(ctx, client, topic, s.Partition, found.To); err != nil {
			return fmt.Errorf("committing past %s: %w", s, err)
		}
		log.Error("skipped what cannot be read: these offsets are not answered", "topic", topic, "partition", s.Partition,
			"offset", found.From, "next", found.To, "group", n.Group, "error", found.Err)
	}
	return nil
}

// unreadable is the batch that is to be skipped. Nothing that can be read lies
// between it and where the group is.
func (n Needs) unreadable(ctx context.Context, client *kgo.Client, topic string, s Skip, at int64) (*kafka.UnreadableError, error) {
	for {
		v, err := kafka.Look(ctx, client, topic, s.Partition, at)
		if kafka.IsFailing(err) && s.Last >= 0 { // whoever names both ends knows that it does not pass
			v, err = n.failing(ctx, client, topic, s.Partition, at, err)
		}
		if err != nil {
			return nil, err
		}
		u := v.Unreadable
		switch {
		case v.Records > 0:
			return nil, Permanent(nil, "--skip %s: group %s is at offset %d, and records behind it can be read: let it come to the batch first", s, n.Group, at)
		case u == nil && (v.Next <= at || v.Next > s.Offset):
			return nil, Permanent(nil, "--skip %s: what is there can be read: nothing to skip", s)
		case u == nil:
			at = v.Next
			continue
		case s.Last >= 0 && s.Offset != u.From:
			return nil, Permanent(u, "--skip %s: what cannot be read begins at offset %d", s, u.From)
		case s.Last >= 0:
			u.To = s.Last + 1
		case u.To < 0:
			whole, _, err := kafka.Unreadable(ctx, client, topic, s.Partition, at)
			if err != nil {
				return nil, err
			}
			if whole == nil {
				return nil, Permanent(nil, "--skip %s: what is there can be read by now: nothing to skip", s)
			}
			return nil, Permanent(u, "--skip %s: the batch does not say where it ends; the log can be read again from offset %d: to skip everything before that, name its last offset too, --skip %s/%d@%d-%d",
				s, whole.To, s.Topic, s.Partition, whole.From, whole.To-1)
		}
		if s.Offset >= u.To || u.From > s.Offset && s.Offset < at {
			return nil, Permanent(u, "--skip %s: the batch that cannot be read has offsets %d … %d", s, u.From, u.To-1)
		}
		if u.To > v.End {
			return nil, Permanent(nil, "--skip %s: the partition ends at %d", s, v.End)
		}
		return u, nil
	}
}

// failing is what a broker shows that fails to answer: nothing but where its log ends.
func (Needs) failing(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64, cause error) (kafka.View, error) {
	ends, err := kafka.Listed(kadm.NewClient(client).ListEndOffsets(ctx, topic))
	if err != nil {
		return kafka.View{}, err
	}
	u := &kafka.UnreadableError{Topic: topic, Partition: partition, From: at, To: -1, Err: cause}
	return kafka.View{Next: at, Unreadable: u, End: ends[topic][partition].Offset}, nil
}

// commit commits an offset in a transaction of its own.
func (n Needs) commit(ctx context.Context, client *kgo.Client, topic string, partition int32, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, TransactionTimeout)
	defer cancel()
	id := n.TransactionalID("0")
	producer, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return err
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = id, producer, epoch, n.Group, -1
	t, p := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch = partition, offset, -1
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	commit.Topics = append(commit.Topics, t)
	cause := commitInTransaction(ctx, client, commit)
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = id, producer, epoch, cause == nil
	err = untilAnswered(ctx, func() error {
		ended, err := end.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(ended.ErrorCode)
	})
	return both(cause, err)
}

// untilAnswered asks again while a coordinator is still busy with what came before.
func untilAnswered(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if !kerr.IsRetriable(err) || !retry.Sleep(ctx, firstPause) {
			return err
		}
	}
}
