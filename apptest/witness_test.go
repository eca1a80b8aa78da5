package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// witness reads applications, predictions and dead letters with a client that
// has nothing in common with the product's, committed records only, from the
// beginning and as they come.
type witness struct {
	t      *testing.T
	prefix string
	seed   maphash.Seed

	mu           sync.Mutex
	failed       error
	applications map[place]applied   // guarded by mu
	answers      map[place][]answer  // guarded by mu, by the application answered
	last         map[string]decided  // guarded by mu, last prediction of each id
	replays      map[string]int      // guarded by mu, markers by the dead letter they name
	asked        map[string][][]byte // guarded by mu, predictions of POST /predict by id
	decisions    []decision          // guarded by mu, as they came
	turnouts     map[int64]turnout   // guarded by mu, of decisions by revision
}

// place is a record's partition and offset.
type place struct {
	partition int32
	offset    int64
}

// applied is what is kept of an application.
type applied struct {
	key     string
	value   uint64 // hash of the whole value
	content uint64 // hash of id, time and features; 0 where it is not an application
}

// answer is what is kept of a prediction or a dead letter.
type answer struct {
	letter  bool
	key     string
	value   uint64
	content uint64
}

// decided is a prediction and where it stands.
type decided struct {
	place
	value []byte
	at    time.Time
}

// watch starts a witness.
func watch(t *testing.T, s servers, prefix string) *witness {
	w := &witness{
		t: t, prefix: prefix, seed: maphash.MakeSeed(),
		applications: map[place]applied{}, answers: map[place][]answer{}, last: map[string]decided{}, replays: map[string]int{}, asked: map[string][][]byte{}, turnouts: map[int64]turnout{},
	}
	config := sarama.NewConfig()
	config.ClientID = "witness"
	config.Version = sarama.V2_8_0_0
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Return.Errors = true
	consumer, err := sarama.NewConsumer(strings.Split(s.kafka, ","), config)
	require.NoError(t, err)
	var reading sync.WaitGroup
	var readers []sarama.PartitionConsumer
	for _, topic := range []string{prefix + ".applications", prefix + ".predictions", prefix + ".applications.dlq"} {
		partitions, err := consumer.Partitions(topic)
		require.NoError(t, err)
		for _, partition := range partitions {
			reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
			require.NoError(t, err)
			readers = append(readers, reader)
			reading.Go(func() {
				for m := range reader.Messages() {
					w.see(m)
				}
			})
			reading.Go(func() {
				for err := range reader.Errors() {
					w.fail(err)
				}
			})
		}
	}
	t.Cleanup(func() {
		for _, reader := range readers {
			reader.AsyncClose()
		}
		reading.Wait()
		_ = consumer.Close() // was only read from
	})
	return w
}

func (w *witness) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
}

// contract is what the wire contract says of an application and a prediction.
type contract struct {
	ID       string          `json:"application_id"`
	At       string          `json:"applied_at"`
	Features json.RawMessage `json:"features"`
	Decided  time.Time       `json:"decided_at"` // of a prediction
	Channel  string          `json:"channel"`    // likewise
	made                     // likewise
}

func (w *witness) hash(b []byte) uint64 { return maphash.Bytes(w.seed, b) }

// read reads a record; one that is not the contract's has no id.
func read(value []byte) (c contract) {
	if json.Unmarshal(value, &c) != nil {
		return contract{}
	}
	return c
}

// content is the hash of what a record says was applied for.
func (w *witness) content(c contract) uint64 {
	if c.ID == "" {
		return 0
	}
	var features bytes.Buffer
	if json.Compact(&features, c.Features) != nil {
		return 0
	}
	return w.hash(fmt.Appendf(nil, "%s\x00%s\x00%s", c.ID, c.At, features.Bytes()))
}

func (w *witness) see(m *sarama.ConsumerMessage) {
	c := read(m.Value)
	value, content := w.hash(m.Value), w.content(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	at := place{m.Partition, m.Offset}
	if m.Topic == w.prefix+".applications" {
		w.applications[at] = applied{string(m.Key), value, content}
		return
	}
	letter := m.Topic != w.prefix+".predictions"
	if of, marker := headers(m)["replay-of"]; marker && letter {
		w.replays[of]++
		return
	}
	if !letter {
		w.keep(string(m.Key), decided{at, bytes.Clone(m.Value), c.Decided})
		if c.Channel == "api" && len(m.Headers) == 0 {
			w.asked[c.ID] = append(w.asked[c.ID], bytes.Clone(m.Value))
			w.note(decision{place: at, id: c.ID, channel: c.Channel, at: c.Decided, made: c.made})
			return
		}
	}
	source, err := w.source(m)
	if err != nil {
		w.failed = fmt.Errorf("%s/%d/%d: %w", m.Topic, m.Partition, m.Offset, err)
		return
	}
	w.answers[source] = append(w.answers[source], answer{letter, string(m.Key), value, content})
	if !letter {
		w.note(decision{at, source, c.ID, c.Channel, c.Decided, c.made})
	}
}

// keep keeps a prediction if it is the last of its id: within a partition by
// offset, among partitions, which change when some are added, by time.
func (w *witness) keep(id string, p decided) {
	old, ok := w.last[id]
	switch {
	case !ok, old.partition == p.partition && p.offset > old.offset:
	case old.partition != p.partition && (p.at.After(old.at) || p.at.Equal(old.at) && p.partition > old.partition):
	default:
		return
	}
	w.last[id] = p
}

// headers are a record's; the last of a name counts.
func headers(m *sarama.ConsumerMessage) map[string]string {
	h := map[string]string{}
	for _, header := range m.Headers {
		h[string(header.Key)] = string(header.Value)
	}
	return h
}

// source is the application that a record says it answers.
func (w *witness) source(m *sarama.ConsumerMessage) (place, error) {
	h := headers(m)
	if want := w.prefix + ".applications"; h["source-topic"] != want {
		return place{}, fmt.Errorf("source-topic %q: expected %s", h["source-topic"], want)
	}
	partition, err := strconv.ParseInt(h["source-partition"], 10, 32)
	if err != nil {
		return place{}, err
	}
	offset, err := strconv.ParseInt(h["source-offset"], 10, 64)
	return place{int32(partition), offset}, err
}

// answered is how many applications have been answered so far.
func (w *witness) answered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.answers)
}

// emitted is how many applications it has read so far; an answer may be read
// before its application.
func (w *witness) emitted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.applications)
}

// replayed counts the markers by the dead letter that they name.
func (w *witness) replayed() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.replays)
}

// markers is how many replays it has read so far.
func (w *witness) markers() (n int) {
	for _, times := range w.replayed() {
		n += times
	}
	return n
}

// requested is how many predictions of POST /predict it has read so far.
func (w *witness) requested() (n int) {
	for _, records := range w.requests() {
		n += len(records)
	}
	return n
}

// requests are the predictions of POST /predict by id.
func (w *witness) requests() map[string][][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.asked)
}

// counts are what a witness saw in all.
type counts struct {
	applications, predictions, letters     int
	lost, duplicated, altered, unsolicited int
	asked                                  int // predictions of POST /predict
}

// judge holds every answer against its application. Those whose key says that
// they are malformed must be dead letters, and no others.
func (w *witness) judge() counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NoError(w.t, w.failed)
	c := counts{applications: len(w.applications)}
	for _, records := range w.asked {
		c.asked += len(records)
	}
	for at, application := range w.applications {
		answers := w.answers[at]
		if len(answers) == 0 {
			c.lost++
			continue
		}
		c.duplicated += len(answers) - 1
		for _, a := range answers {
			malformed := strings.HasSuffix(application.key, "-malformed")
			same := a.content == application.content && application.content != 0
			if a.letter {
				c.letters++
				same = a.value == application.value
			} else {
				c.predictions++
			}
			if a.key != application.key || a.letter != malformed || !same {
				c.altered++
			}
		}
	}
	for at := range w.answers {
		if _, ok := w.applications[at]; !ok {
			c.unsolicited++
		}
	}
	return c
}

// predictions are the last of every id.
func (w *witness) predictions() map[string]decided {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]decided, len(w.last))
	for id, p := range w.last {
		all[id] = p
	}
	return all
}

// some are the last predictions of n ids, none while there are fewer.
func (w *witness) some(n int) map[string]decided {
	all := w.predictions()
	if len(all) < n {
		return map[string]decided{"": {}} // which nothing holds
	}
	for id := range all {
		if len(all) == n {
			break
		}
		delete(all, id)
	}
	return all
}

// holds says whether every member of one JSON object stands in another as well.
func holds(object, members []byte) bool {
	var have, want map[string]any
	if json.Unmarshal(object, &have) != nil || json.Unmarshal(members, &want) != nil || len(want) == 0 {
		return false
	}
	for name, v := range want {
		if !reflect.DeepEqual(have[name], v) {
			return false
		}
	}
	return true
}
