package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// blocksAtOnce bounds the blocks looked at in one reading: 9 MB of closeUps. A
// run so broken that there are more is read once per so many.
const blocksAtOnce = 2048

// closeUp is one block looked at offset by offset.
type closeUp struct {
	source  [blockSize]uint64 // digest of each application
	whole   [blockSize]uint64 // the beginning of its value's SHA-256, which a cut dead letter carries
	present [blockSize]bool
	altered [blockSize]bool
}

type blockID struct {
	partition int32
	block     int64
}

// recheck looks again, answer by answer, at the blocks whose sums do not say that
// all is well: one of them was altered, is lost or was answered twice.
func (r *run) recheck(ctx context.Context) error {
	blocks := map[blockID]*closeUp{}
	for _, partition := range r.partitions() {
		for _, b := range r.source[partition].doubtful() {
			blocks[blockID{partition, b}] = new(closeUp)
			if len(blocks) == r.blocksAtOnce {
				if err := r.lookAgain(ctx, blocks); err != nil {
					return err
				}
				clear(blocks)
			}
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	return r.lookAgain(ctx, blocks)
}

func (r *run) lookAgain(ctx context.Context, blocks map[blockID]*closeUp) error {
	spans := map[int32]kafka.Span{}
	for id := range blocks {
		l := r.source[id.partition]
		from := max(l.low, l.from+id.block*blockSize)
		to := min(l.to, l.from+(id.block+1)*blockSize)
		if s, ok := spans[id.partition]; ok {
			from, to = min(from, s.From), max(to, s.To)
		}
		spans[id.partition] = kafka.Span{From: from, To: to}
	}
	find := func(partition int32, offset int64) (*closeUp, int64) {
		l := r.source[partition]
		return blocks[blockID{partition, l.block(offset)}], (offset - l.from) % blockSize
	}
	// What cannot be read was counted the first time.
	passed := func(*kafka.UnreadableError) error { return nil }
	err := r.Kafka.ReadCommitted(ctx, kafka.Spans{r.Topics.Applications: spans}, kafka.Sink{Unreadable: passed, Each: func(record *kgo.Record) error {
		if c, i := find(record.Partition, record.Offset); c != nil {
			digest, _, err := r.content(ctx, record.Partition, record.Offset, record.Key, record.Value)
			if err != nil {
				return err
			}
			c.source[i] = digest
			sum := sha256.Sum256(record.Value)
			c.whole[i], c.present[i] = beginning(hex.EncodeToString(sum[:])), true
		}
		return nil
	}})
	if err != nil {
		return err
	}
	return r.Kafka.ReadCommitted(ctx, r.outputs, kafka.Sink{Unreadable: passed, Each: func(record *kgo.Record) error {
		source, ok := r.judged(record)
		if !ok {
			return nil
		}
		c, i := find(source.Partition, source.Offset)
		if c == nil || !c.present[i] || c.altered[i] {
			return nil
		}
		v, err := r.inspect(ctx, record, source)
		if err != nil {
			return err
		}
		if v.unread != "" {
			return nil // counted the first time
		}
		if v.wrong == "" {
			v.wrong = c.compare(i, v, record, source)
		}
		if v.wrong != "" {
			c.altered[i] = true
			r.altered(record, v.wrong)
		}
		return nil
	}})
}

// judged is the application that a record answers, where that is one of those
// judged.
func (r *run) judged(record *kgo.Record) (source schemas.Source, ok bool) {
	source, sourced, broken := sourceOf(record)
	if broken != nil || !sourced || isMarker(r.Topics, record) || source.Topic != r.Topics.Applications {
		return source, false
	}
	l := r.source[source.Partition]
	return source, l != nil && l.holds(source.Offset)
}

// compare holds an answer against its application and says what differs.
func (c *closeUp) compare(i int64, v verdict, record *kgo.Record, source schemas.Source) string {
	if !v.known {
		digest, _ := deadletters.WasCut(record)
		const scheme = "sha256:"
		if len(digest) > len(scheme) && beginning(digest[len(scheme):]) == c.whole[i] {
			return ""
		}
		return fmt.Sprintf("its %s is not that of %s", schemas.HeaderValueDigest, source)
	}
	if v.digest == c.source[i] {
		return ""
	}
	return "what was applied for differs from " + source.String()
}

// beginning is the first eight bytes of a hex digest, 0 where it has no such.
func beginning(digest string) (n uint64) {
	b, err := hex.DecodeString(digest[:min(16, len(digest))])
	if err != nil || len(b) != 8 {
		return 0
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
