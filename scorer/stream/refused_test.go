package stream

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/internal/registry/registrytest"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// doubting is a codec that doubts refusals for a moment only.
func (w *avroWorld) doubting() *wire.Codec {
	client, err := registry.New(registry.Config{URL: w.fake.URL()})
	require.NoError(w.t, err)
	return wire.New(wire.Config{Registry: way{client, &w.away}, Doubt: 10 * time.Millisecond})
}

// An id that the registry does not give, whatever it says instead, stops nobody: what
// names it goes to the dead letters with the registry's words, and all else is decided.
func TestRefusedSchema_IsADeadLetterAndStopsNoPartition(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	registrytest.Refuse(w.fake, &atomic.Bool{})
	s := w.scorer("one", func(c *Config) { c.Codec = w.doubting() })
	stop := run(s)
	const n = 400
	refused := func(i int) (kind int, ok bool) { return i % len(registrytest.Refusals), i%5 == 0 }
	w.applyAvro(0, n, func(i int, a *schemas.Application) []byte {
		if kind, ok := refused(i); ok {
			return schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, uint32(registrytest.FirstRefused+kind)), a)
		}
		return w.plain(i, a)
	})
	letters := w.exact(n)
	require.NoError(t, stop())
	require.Len(t, letters, n/5)
	seen := map[int]bool{}
	for _, d := range letters {
		id, _, err := schemas.CutAvroHeader(d.Value)
		require.NoError(t, err)
		kind := int(id) - registrytest.FirstRefused
		seen[kind] = true
		h := map[string]string{}
		for _, header := range d.Headers {
			h[header.Key] = string(header.Value)
		}
		require.Equal(t, schemas.ErrorClassDecode, h[schemas.HeaderErrorClass])
		require.Contains(t, h[schemas.HeaderErrorMessage], "Avro schema id "+strconv.Itoa(int(id))+": the schema registry does not give it: ")
		require.Contains(t, h[schemas.HeaderErrorMessage], registrytest.Refusals[kind].Quoted)
		require.NotContains(t, h[schemas.HeaderErrorMessage], "\x1b")
	}
	require.Len(t, seen, len(registrytest.Refusals))
}

// A registry, or what is in front of it, may answer every id that it does not have with
// a page: the schema that the scorer has registered shows that it answers, and one value
// with such an id stops no partition of a scorer that has read no schema yet.
func TestRefusedSchema_WhereUnknownIDsGetAPageStopsNoPartition(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	id, _, err := w.fake.RegisterSchema(schemas.AvroSubject(w.topics.Predictions),
		sr.Schema{Schema: schemas.AvroSchema(schemas.EventPrediction), Type: sr.TypeAvro})
	require.NoError(t, err)
	const unknown = 7
	require.NotEqual(t, unknown, id)
	registered := "/schemas/ids/" + strconv.Itoa(id)
	w.fake.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Path == registered {
			return false
		}
		http.Error(rw, "<html>no such page</html>", http.StatusNotFound)
		return true
	})
	codec := w.runCodec(wire.Config{Doubt: 10 * time.Millisecond, Writes: map[schemas.Event]string{schemas.EventPrediction: w.topics.Predictions}})
	var records []*kgo.Record
	for i := range 2 {
		a := avroApplication(i)
		value := schemas.AppendApplication(nil, a)
		if i == 0 {
			value = schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, unknown), a)
		}
		records = append(records, &kgo.Record{Topic: w.topics.Applications, Partition: int32(i), Key: []byte(a.ApplicationID), Value: value})
	}
	require.NoError(t, w.client.ProduceSync(t.Context(), records...).FirstErr())
	stop := run(w.scorer("one", func(c *Config) { c.Codec = codec }))
	letters := w.exact(2)
	require.NoError(t, codec.Ready())
	require.NoError(t, stop())
	require.Len(t, letters, 1)
	require.Equal(t, records[0].Value, letters[0].Value)
}

// Where the registry lets nobody in, nothing is dead-lettered: the scorer waits and
// names what for, and goes on by itself.
func TestRefusedSchema_OfAWrongLoginWaitsAndNamesTheRecord(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	var all atomic.Bool
	all.Store(true)
	registrytest.Refuse(w.fake, &all)
	codec := w.doubting()
	stop := run(w.scorer("one", func(c *Config) { c.Codec = codec }))
	a := avroApplication(0)
	produced := w.client.ProduceSync(t.Context(),
		&kgo.Record{Topic: w.topics.Applications, Partition: 2, Key: []byte(a.ApplicationID), Value: w.plain(0, a)})
	require.NoError(t, produced.FirstErr())
	at := schemas.Source{Topic: w.topics.Applications, Partition: 2, Offset: produced[0].Record.Offset}.String()
	waits := func(words string) func() bool {
		return func() bool {
			err := codec.Ready()
			return err != nil && strings.Contains(err.Error(), at+" waits for Avro schema id ") && strings.Contains(err.Error(), words)
		}
	}
	require.Eventually(t, waits("HTTP 401: who are you?"), time.Minute, time.Millisecond)
	w.away.Store(true)
	all.Store(false)
	require.Eventually(t, waits(errAway.Error()), time.Minute, time.Millisecond, "silence is named likewise")
	w.away.Store(false)
	require.Empty(t, w.exact(1))
	require.NoError(t, codec.Ready())
	require.NoError(t, stop())
}
