package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// UnreadableError is a batch that is in a partition's log and cannot be read: its
// bytes are not those that were written, or the broker cannot find its way
// through them. Reading it again on the same replica gives the same.
type UnreadableError struct {
	Topic     string
	Partition int32
	From, To  int64 // its offsets, To excluded; To is -1 where the batch does not say
	Err       error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%s/%d cannot be read at offset %d: %v", e.Topic, e.Partition, e.From, e.Err)
}

func (e *UnreadableError) Unwrap() error { return e.Err }

// Offsets is how many offsets are unreadable, at least 1.
func (e *UnreadableError) Offsets() int64 { return max(1, e.To-e.From) }

// IsUnreadable says whether the error of a poll is of what one partition holds: a
// batch that does not fit its checksum or its own lengths, or a broker that says
// so. Errors of access, of leaders and of connections are not, nor is a broker's
// UNKNOWN_SERVER_ERROR: that says nothing of the log, and passes as a rule. See Patience.
func IsUnreadable(e kgo.FetchError) bool {
	if e.Topic == "" || e.Partition < 0 || errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) {
		return false
	}
	_, session := errors.AsType[*kgo.ErrGroupSession](e.Err)
	_, lost := errors.AsType[*kgo.ErrDataLoss](e.Err)
	code, answered := errors.AsType[*kerr.Error](e.Err)
	if session || lost || errors.Is(e.Err, kgo.ErrClientClosed) {
		return false
	}
	return !answered || isDamage(code)
}

// isDamage says whether a broker says that what is in its log is not as it was written.
// INVALID_RECORD is what it makes of a batch whose format byte says a former format.
func isDamage(err error) bool {
	return errors.Is(err, kerr.CorruptMessage) || errors.Is(err, kerr.InvalidRecord)
}

// reasonError is why a batch cannot be read, in other words than the client's, which
// speak to programmers of what it does next.
type reasonError struct {
	text string
	err  error
}

func (e *reasonError) Error() string { return e.text }

func (e *reasonError) Unwrap() error { return e.err }

// Reason says why a batch cannot be read, of the error that the client or a broker made
// of it.
func Reason(err error) error {
	if err == nil {
		return nil
	}
	if _, said := errors.AsType[*reasonError](err); said {
		return err
	}
	text, magic := "", 0
	switch {
	case errors.Is(err, kgo.ErrMaxDecompress):
		text = fmt.Sprintf("the batch unpacks to more than %d MiB", MaxBatch>>20)
	case errors.Is(err, kerr.CorruptMessage):
		text = "the broker says that the batch is damaged (CORRUPT_MESSAGE)"
	case errors.Is(err, kerr.InvalidRecord):
		text = "the broker says that the batch is damaged (INVALID_RECORD)"
	case strings.HasPrefix(err.Error(), "encoded crc"):
		text = "the batch does not fit its checksum"
	default:
		for _, form := range []string{"unknown magic %d", "unable to read message v%d"} {
			if _, no := fmt.Sscanf(err.Error(), form, &magic); no == nil {
				text = fmt.Sprintf("the batch says that its format is %d, not 2", magic)
			}
		}
	}
	if text == "" {
		return err
	}
	return &reasonError{text, err}
}

const (
	// What Look fetches of a partition at once.
	lookBytes = 4 << 20
	lookWait  = 500 // milliseconds
	// A batch's header: where its fields are, and how long it is.
	batchLength   = 8
	batchMagic    = 16
	batchChecksum = 17
	batchChecked  = 21 // from here on the checksum counts
	batchDelta    = 23
	batchFlags    = 21
	batchProducer = 43
	batchRecords  = 57
	batchHeader   = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// View is what Look found at an offset.
type View struct {
	// Next is the offset up to which everything can be read: that of Unreadable, or
	// that which a next look is to begin at.
	Next       int64
	Records    int // committed records on the way there
	Unreadable *UnreadableError
	// Impassable says that no client gets to Next by itself: what lies before it was aborted,
	// and unpacks to more than MaxBatch.
	Impassable bool
	End        int64 // the high watermark
}

// Blocks is why a client that reads on from where the look began gets no further, nil
// where it does.
func (v View) Blocks() error {
	switch {
	case v.Records > 0:
		return nil
	case v.Impassable:
		return kgo.ErrMaxDecompress
	case v.Unreadable != nil:
		return v.Unreadable.Err
	}
	return nil
}

// Look fetches what a partition holds at an offset, once, from its leader, and says
// whether it can be read. What cannot is named by its offsets.
func Look(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (View, error) {
	answer, err := fetchAt(ctx, client, topic, partition, at)
	if err != nil {
		return View{}, fmt.Errorf("looking at %s/%d from offset %d: %w", topic, partition, at, err)
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		if IsFailing(err) {
			err = cmp.Or(culprit(ctx, client, topic, partition, at), err)
		}
		if _, answered := errors.AsType[*kerr.Error](err); answered && !isDamage(err) {
			return View{}, fmt.Errorf("looking at %s/%d from offset %d: %w", topic, partition, at, err)
		}
		// With an error comes no watermark.
		ends, listed := Listed(kadm.NewClient(client).ListEndOffsets(ctx, topic))
		if listed != nil {
			return View{}, fmt.Errorf("looking at %s/%d from offset %d: %w", topic, partition, at, listed)
		}
		return View{Next: at, Unreadable: &UnreadableError{topic, partition, at, -1, Reason(err)}, End: ends[topic][partition].Offset}, nil
	}
	read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: at, IsolationLevel: kgo.ReadCommitted(), Topic: topic, Partition: partition,
	}, answer, new(unpacker), nil)
	v := View{Next: next, Records: len(read.Records), End: answer.HighWatermark}
	if read.Err == nil && next == at && len(read.Records) == 0 && at < answer.LastStableOffset {
		// A batch whose length is wrong: the broker gives nothing, or part of it.
		read.Err = fmt.Errorf("no whole batch is there, though the log continues to offset %d", answer.LastStableOffset)
	}
	if read.Err != nil {
		batch, from, to := unreadable(answer.RecordBatches, at, next, answer.HighWatermark)
		aborted := false
		if errors.Is(read.Err, kgo.ErrMaxDecompress) && to > at && isAborted(batch, answer) {
			// Of transactions of the same producer, the answer for its own offset lists no earlier one.
			if aborted, err = Aborted(ctx, client, topic, partition, from); err != nil {
				return View{}, fmt.Errorf("looking at %s/%d from offset %d: %w", topic, partition, from, err)
			}
		}
		if aborted {
			v.Next, v.Impassable = to, true // which the client does not know before it has unpacked it
			return v, nil
		}
		v.Next, v.Unreadable = from, &UnreadableError{topic, partition, from, to, Reason(read.Err)}
	}
	u, _, err := Disorder(ctx, client, topic, partition, at, max(at, min(v.Next, answer.HighWatermark)-1))
	if err != nil {
		return View{}, err
	}
	if u != nil && (v.Unreadable == nil || u.From <= v.Unreadable.From) {
		v.Next, v.Unreadable, v.Records = u.From, u, 0
		for _, r := range read.Records {
			if r.Offset < u.From {
				v.Records++
			}
		}
	}
	return v, nil
}

// Unreadable is the batch at an offset that cannot be read, or behind it with no
// committed record between them; nil where there is a record, or nothing. Where the
// batch does not say where it ends, it ends where the broker has something that can be
// read again, at the last stable offset at the latest: To is never -1.
//
// next is the offset from which a client can read on and misses nothing: behind the batch,
// or else behind batches that were aborted and are too large for a client to get past;
// at itself where there are none, or where the look failed.
func Unreadable(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (u *UnreadableError, next int64, err error) {
	next = at
	for {
		v, err := Look(ctx, client, topic, partition, at)
		if err == nil && v.Impassable && v.Records == 0 {
			next = v.Next
		}
		switch {
		case err != nil:
			return nil, next, err
		case v.Records > 0 || v.Unreadable == nil && v.Next <= at:
			return nil, next, nil
		case v.Unreadable == nil:
			at = v.Next
			continue
		}
		u := v.Unreadable
		if u.To >= 0 {
			return u, u.To, nil
		}
		ends, err := Listed(kadm.NewClient(client).ListCommittedOffsets(ctx, topic))
		if err != nil {
			return nil, next, err
		}
		end := ends[topic][partition].Offset
		if end <= u.From {
			return nil, next, fmt.Errorf("where that batch ends cannot be said yet, for nothing behind offset %d is decided: %w", end, u)
		}
		if u.To, err = readableAgain(ctx, client, u, end); err != nil {
			return nil, next, err
		}
		return u, u.To, nil
	}
}

// readableAgain is an offset behind a batch from which on a partition can be read, end
// where there is none. A broker finds it in its index, which has an entry for every
// few kilobytes of the log.
func readableAgain(ctx context.Context, client *kgo.Client, u *UnreadableError, end int64) (int64, error) {
	readable := func(at int64) (bool, error) {
		v, err := Look(ctx, client, u.Topic, u.Partition, at)
		return err == nil && (v.Records > 0 || v.Next > at), err
	}
	return search(u.From, end, readable)
}

// search is the first offset behind low for which is holds, by a dozen questions; end
// where there is none.
func search(low, end int64, is func(at int64) (bool, error)) (int64, error) {
	high := end
	for step := int64(1); low+step < end; step *= 2 {
		ok, err := is(low + step)
		if err != nil {
			return 0, err
		}
		if ok {
			high = low + step
			break
		}
		low += step
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := is(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// Aborted says whether the batch at an offset belongs to a transaction that was
// aborted, by what the broker says of it.
func Aborted(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (bool, error) {
	answer, err := fetchAt(ctx, client, topic, partition, at)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err == nil && len(answer.RecordBatches) < batchHeader {
		err = errors.New("the broker answers without a batch")
	}
	if err != nil {
		return false, err
	}
	return isAborted(answer.RecordBatches, answer), nil
}

func isAborted(batch []byte, answer *kmsg.FetchResponseTopicPartition) bool {
	const transactional = 0x10
	if len(batch) < batchHeader || batch[batchFlags+1]&transactional == 0 {
		return false
	}
	base, producer := int64(binary.BigEndian.Uint64(batch)), int64(binary.BigEndian.Uint64(batch[batchProducer:]))
	return slices.ContainsFunc(answer.AbortedTransactions, func(t kmsg.FetchResponseTopicPartitionAbortedTransaction) bool {
		return t.ProducerID == producer && t.FirstOffset <= base
	})
}

// fetchAt asks whom the client knows as the leader, and looks who that is where it is not.
func fetchAt(ctx context.Context, client *kgo.Client, topic string, partition int32, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	answer, err := fetchFromLeader(ctx, client, topic, partition, at, 0)
	said := err
	if err == nil {
		said = kerr.ErrorForCode(answer.ErrorCode)
	}
	if said == nil || ctx.Err() != nil || errors.Is(said, errQuota) || err == nil && (isDamage(said) || !kerr.IsRetriable(said)) {
		return answer, err
	}
	return fetchFromLeader(ctx, client, topic, partition, at, time.Nanosecond)
}

// fetchFromLeader takes the client's word for the leader where that is not older than age;
// 0: than the client's metadata may be.
func fetchFromLeader(
	ctx context.Context, client *kgo.Client, topic string, partition int32, at int64, age time.Duration,
) (*kmsg.FetchResponseTopicPartition, error) {
	asked := kmsg.NewPtrMetadataRequest()
	of := kmsg.NewMetadataRequestTopic()
	of.Topic = kmsg.StringPtr(topic)
	asked.Topics = append(asked.Topics, of)
	known, err := client.RequestCachedMetadata(ctx, asked, age)
	if err != nil {
		return nil, err
	}
	leader := int32(-1)
	var id [16]byte
	for _, t := range known.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		id = t.TopicID
		for _, p := range t.Partitions {
			if p.Partition == partition {
				leader = p.Leader
			}
		}
	}
	if leader < 0 {
		return nil, kerr.LeaderNotAvailable
	}
	request := kmsg.NewPtrFetchRequest()
	request.ReplicaID, request.MaxBytes, request.IsolationLevel, request.SessionEpoch = -1, lookBytes, 1, -1
	request.MaxWaitMillis, request.MinBytes = lookWait, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at, lookBytes
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	fetched, err := untilAnswered(ctx, client.Broker(int(leader)), request)
	if err != nil {
		return nil, err
	}
	for _, t := range fetched.Topics {
		for i := range t.Partitions {
			if t.Partitions[i].Partition == partition {
				return &t.Partitions[i], nil
			}
		}
	}
	return nil, errors.New("the broker answers nothing")
}

// ReadAgain makes a client fetch a partition again from an offset. Setting the one that
// it has noted is none: it may have gone past that where it could not read.
func ReadAgain(client *kgo.Client, topic string, partition int32, at int64) {
	for _, offset := range []int64{at + 1, at} {
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: offset}}})
	}
}

// unreadable are the bytes and offsets of the first batch of an answer that ends at next or
// later and cannot be trusted. Where nothing of it was read it begins at its first offset,
// or where the answer was to: next may lie behind that, for the client passes over the
// first record of a batch whose format it does not know. to is -1 where neither the batch
// nor the one behind it says where it ends.
func unreadable(in []byte, at, next, end int64) (batch []byte, from, to int64) {
	for len(in) >= batchHeader {
		base := int64(binary.BigEndian.Uint64(in))
		length := int64(int32(binary.BigEndian.Uint32(in[batchLength:]))) + batchLength + 4
		if length < batchHeader || length > int64(len(in)) {
			break
		}
		var behind []byte
		batch, behind = in[:length], in[length:]
		delta, records := int64(int32(binary.BigEndian.Uint32(batch[batchDelta:]))), int64(int32(binary.BigEndian.Uint32(batch[batchRecords:])))
		whole := batch[batchMagic] == 2 && crc32.Checksum(batch[batchChecked:], castagnoli) == binary.BigEndian.Uint32(batch[batchChecksum:])
		last := base + delta
		if whole && last < next {
			in, at = behind, max(at, last+1)
			continue
		}
		from = at
		if whole {
			from = next
		}
		if base > from && base < end {
			from = base
		}
		switch {
		case delta >= 0 && last >= from && last < end && (whole || delta+1 == records):
			return batch, from, last + 1
		case len(behind) >= batchHeader && behind[batchMagic] == 2 && int64(binary.BigEndian.Uint64(behind)) > from:
			return batch, from, int64(binary.BigEndian.Uint64(behind))
		}
		return batch, from, -1
	}
	return nil, next, -1
}
