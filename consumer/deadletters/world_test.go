package deadletters

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

const partitions = 3

// world is an embedded broker on which a test writes what a scorer left behind.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config Config
	client *kgo.Client
	admin  *kadm.Client
}

func newWorld(t *testing.T) *world { return newWorldIn(t, "") }

// newWorldIn keeps the broker's log in a directory.
func newWorldIn(t *testing.T, dir string) *world {
	w := newBareWorld(t, dir)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(partitions, topic.Partitions), Replication: 1, Configs: topic.Configs})
	}
	_, err := kafka.CreateTopics(t.Context(), w.admin, specs)
	require.NoError(t, err)
	return w
}

// newBareWorld is one without topics but those of the options.
func newBareWorld(t *testing.T, dir string, options ...kfake.Opt) *world {
	broker, err := local.StartKafka(dir, append(options, kfake.SleepOutOfOrder())...)
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, config: Config{
		Kafka:  kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"},
		Topics: schemas.NewTopics("t"),
	}}
	w.client = w.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(maxRecord))
	w.admin = kadm.NewClient(w.client)
	return w
}

func (w *world) connect(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(w.config.Kafka.Options(), options...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) write(records ...*kgo.Record) {
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func headers(pairs ...string) (all []kgo.RecordHeader) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return all
}

// letterHeaders are what a scorer adds to a letter, i minutes past noon.
func letterHeaders(i int, class string, more ...string) []kgo.RecordHeader {
	all := headers("error-class", class, "error-message", "features.age "+strconv.Itoa(900+i)+": must be 18 … 120",
		"failed-at", noon.Add(time.Duration(i)*time.Minute).Format(time.RFC3339))
	all = append(all, headers(more...)...)
	return append(all, headers("source-topic", "t.applications", "source-partition", strconv.Itoa(i%partitions), "source-offset", strconv.Itoa(1000+i))...)
}

// letter is letter i, in partition i%partitions; every fourth is not JSON.
func (w *world) letter(i int) *kgo.Record {
	class := schemas.ErrorClassContract
	if i%4 == 3 {
		class = schemas.ErrorClassDecode
	}
	return &kgo.Record{
		Topic: w.config.Topics.DLQ, Partition: int32(i % partitions),
		Key: fmt.Appendf(nil, "A-%06d", i), Value: fmt.Appendf(nil, `{"application_id": "A-%06d", "limit_bal": 20000%d}`, i, i),
		Headers: append(headers("trace", "x"), letterHeaders(i, class)...),
	}
}

// letters writes n letters.
func (w *world) letters(n int) (written []*kgo.Record) {
	for i := range n {
		written = append(written, w.letter(i))
	}
	w.write(written...)
	return written
}

// committed reads everything that is committed in a topic, in a partition's order.
func (w *world) committed(topic string) (records []*kgo.Record) {
	ends, err := kafka.Listed(w.admin.ListEndOffsets(w.t.Context(), topic))
	require.NoError(w.t, err)
	spans := kafka.Spans{topic: {}}
	for partition, end := range ends[topic] {
		spans[topic][partition] = kafka.Span{To: end.Offset}
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	require.NoError(w.t, w.config.Kafka.ReadCommitted(ctx, spans, kafka.Sink{Each: func(r *kgo.Record) error {
		records = append(records, r)
		return nil
	}}))
	return records
}

// markers counts the markers of each letter.
func (w *world) markers() map[string]int {
	counts := map[string]int{}
	for _, r := range w.committed(w.config.Topics.DLQ) {
		if IsMarker(r) {
			require.Nil(w.t, r.Value)
			require.Len(w.t, r.Headers, 1)
			of, err := marked(r)
			require.NoError(w.t, err)
			require.Equal(w.t, of.Partition, r.Partition, "a marker stands in the partition of its letter")
			counts[of.String()]++
		}
	}
	return counts
}

// replayedFrom counts the applications by the letter they were replayed from.
func (w *world) replayedFrom() map[string]int {
	counts := map[string]int{}
	for _, r := range w.committed(w.config.Topics.Applications) {
		from, ok := header(r.Headers, schemas.HeaderReplayedFrom)
		require.True(w.t, ok)
		counts[string(from)]++
	}
	return counts
}

func (w *world) list(change ...func(*ListConfig)) ([]Letter, *Counts) {
	c := ListConfig{Config: w.config}
	for _, f := range change {
		f(&c)
	}
	found, counts, err := List(w.t.Context(), c)
	require.NoError(w.t, err)
	return found, counts
}

// replay is a run that has not begun.
func (w *world) replay(change ...func(*ReplayConfig)) *replay {
	c := ReplayConfig{Config: w.config}
	for _, f := range change {
		f(&c)
	}
	return newReplay(c)
}

// replayed runs one to its end.
func (w *world) replayed(change ...func(*ReplayConfig)) *Report {
	report, err := w.replay(change...).run(w.t.Context())
	require.NoError(w.t, err)
	return report
}

func at(positions ...Position) func(*ReplayConfig) {
	return func(c *ReplayConfig) { c.Positions = positions }
}

// letterAt is where the newest letter is that came back from another.
func (w *world) letterAt(t *testing.T, from string) (p Position) {
	t.Helper()
	found := false
	for _, r := range w.committed(w.config.Topics.DLQ) {
		if l := parse(r); !IsMarker(r) && l.ReplayedFrom == "t.applications.dlq/"+from {
			p, found = l.Position, true
		}
	}
	require.True(t, found)
	return p
}
