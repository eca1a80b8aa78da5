package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// avroWorld is a world whose scorers write Avro.
type avroWorld struct {
	*world
	fake *srfake.Registry
	away atomic.Bool // nobody can reach the registry
	id   uint32      // of the application's schema
}

func newAvroWorld(t *testing.T) *avroWorld {
	w := &avroWorld{world: newWorld(t), fake: srfake.New()}
	t.Cleanup(w.fake.Close)
	w.id = w.register(schemas.AvroSchema(schemas.EventApplication))
	w.codec = w.newCodec(nil)
	return w
}

// way is the way to the registry, which may be closed.
type way struct {
	*registry.Client
	closed *atomic.Bool
}

var errAway = errors.New("no way to the registry")

func (y way) Schema(ctx context.Context, id uint32) (string, bool, error) {
	if y.closed.Load() {
		return "", false, errAway
	}
	return y.Client.Schema(ctx, id)
}

func (y way) Register(ctx context.Context, subject, schema string) (uint32, error) {
	if y.closed.Load() {
		return 0, errAway
	}
	return y.Client.Register(ctx, subject, schema)
}

func (w *avroWorld) register(schema string) uint32 {
	id, _, err := w.fake.RegisterSchema(schemas.AvroSubject(w.topics.Applications), sr.Schema{Schema: schema, Type: sr.TypeAvro})
	require.NoError(w.t, err)
	return uint32(id)
}

// newCodec is one that knows no schema yet, writes what it is told and runs.
func (w *avroWorld) newCodec(writes map[schemas.Event]string) *wire.Codec {
	return w.runCodec(wire.Config{Writes: writes})
}

// runCodec runs a codec that asks the fake registry.
func (w *avroWorld) runCodec(c wire.Config) *wire.Codec {
	client, err := registry.New(registry.Config{URL: w.fake.URL()})
	require.NoError(w.t, err)
	c.Registry = way{client, &w.away}
	codec := wire.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- codec.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, <-done)
	})
	return codec
}

// writing is a codec for a scorer.
func (w *avroWorld) writing() *wire.Codec {
	return w.newCodec(map[schemas.Event]string{schemas.EventPrediction: w.topics.Predictions})
}

func avroApplication(i int) *schemas.Application {
	a := &schemas.Application{ApplicationID: fmt.Sprintf("A-%06d", i), AppliedAt: schemas.Timestamp(1e15)}
	for k, rule := range schemas.FeatureRules {
		a.Features[k] = max(rule.Min, 0) + int32(i%2)
	}
	return a
}

// applyAvro emits applications from first to last; write makes each one's value.
func (w *avroWorld) applyAvro(first, last int, write func(i int, a *schemas.Application) []byte) {
	var records []*kgo.Record
	for i := first; i < last; i++ {
		a := avroApplication(i)
		records = append(records, &kgo.Record{Topic: w.topics.Applications, Partition: int32(i % partitions), Key: []byte(a.ApplicationID), Value: write(i, a)})
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
}

func (w *avroWorld) plain(_ int, a *schemas.Application) []byte {
	return schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, w.id), a)
}

func TestBothFormatsInOneTopicAreAnswered(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	evolved := w.register(strings.Replace(schemas.AvroSchema(schemas.EventApplication), `"fields": [`, `"fields": [{"name": "branch", "type": "string", "default": ""},`, 1))
	other := w.register(schemas.AvroSchema(schemas.EventOutcome))
	w.apply(0, 100) // JSON; every tenth malformed
	const unknown = 4711
	w.applyAvro(100, 700, func(i int, a *schemas.Application) []byte {
		body := schemas.AppendAvroApplication(nil, a)
		switch i % 10 {
		case 0:
			return append(schemas.AppendAvroHeader(nil, evolved), append([]byte{4, 'x', 'y'}, body...)...)
		case 1:
			return append(schemas.AppendAvroHeader(nil, unknown), body...)
		case 2:
			return append(schemas.AppendAvroHeader(nil, other), body...)
		case 3:
			return append([]byte{1, 0, 0, 0, byte(w.id)}, body...) // another first byte
		case 4:
			return []byte{0, 0, 0}
		case 5:
			a.Features[4] = 200
		case 6:
			return schemas.AppendApplication(nil, a)
		}
		return w.plain(i, a)
	})
	s := w.scorer("one", func(c *Config) { c.Codec = w.writing() })
	stop := run(s)
	letters := w.exact(700)
	require.NoError(t, stop())
	whys := map[string]int{}
	for _, d := range letters {
		h := map[string]string{}
		for _, header := range d.Headers {
			h[header.Key] = string(header.Value)
		}
		if d.Value == nil || h[schemas.HeaderSourceOffset] == "" || d.Value[0] == '{' {
			continue
		}
		why, _, _ := strings.Cut(h[schemas.HeaderErrorMessage], ": ")
		whys[h[schemas.HeaderErrorClass]+" "+why]++
	}
	require.Equal(t, map[string]int{
		"decode Avro schema id 4711":                   60,
		fmt.Sprintf("decode Avro schema id %d", other): 60,
		"decode byte 0":                                60,
		"decode byte 3":                                60,
		"contract features.age 200":                    60,
	}, whys)

	// What was decided is in Avro, under the schema that was registered.
	reader, err := kgo.NewClient(append(w.config.Options(), kgo.ConsumeTopics(w.topics.Predictions))...)
	require.NoError(t, err)
	defer reader.Close()
	reader.PollRecords(t.Context(), 10).EachRecord(func(r *kgo.Record) {
		id, _, err := schemas.CutAvroHeader(r.Value)
		require.NoError(t, err)
		schema, ok := w.fake.GetSchema(schemas.AvroSubject(w.topics.Predictions), 1)
		require.True(t, ok)
		require.Equal(t, schema.ID, int(id))
	})
}

// Nothing is lost and nothing is dead-lettered because nobody could say what a
// schema was.
func TestTheBatchWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	codec := w.writing()
	require.NoError(t, codec.Await(t.Context()))
	s := w.scorer("one", func(c *Config) { c.Codec = codec })
	stop := run(s)
	w.apply(0, 40)
	w.exact(40) // JSON needs no registry
	w.away.Store(true)
	w.applyAvro(40, 80, w.plain)
	require.Eventually(t, func() bool { return codec.Ready() != nil }, time.Minute, time.Millisecond)
	require.ErrorIs(t, codec.Ready(), errAway)
	require.NoError(t, stop(), "it can be stopped meanwhile")

	// Another one waits, too, and goes on by itself.
	codec = w.writing() // cannot register yet
	two := w.scorer("two", func(c *Config) { c.Codec = codec })
	stop = run(two)
	require.Eventually(t, func() bool { return errors.Is(codec.Ready(), errAway) }, time.Minute, time.Millisecond)
	group, err := kadm.NewClient(w.client).DescribeGroups(t.Context(), "g")
	require.NoError(t, err)
	require.Empty(t, group["g"].Members, "who cannot write holds no partitions")
	w.away.Store(false)
	letters := w.exact(80)
	require.Len(t, letters, 4, "the malformed JSON ones")
	require.NoError(t, codec.Ready())

	// While a batch waits, half of its partitions move to another replica.
	third := w.writing()
	require.NoError(t, third.Await(t.Context()))
	evolved := w.register(strings.Replace(schemas.AvroSchema(schemas.EventApplication), `"fields": [`, `"fields": [{"name": "branch", "type": "null", "default": null},`, 1))
	w.away.Store(true)
	w.applyAvro(80, 160, func(_ int, a *schemas.Application) []byte {
		return schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, evolved), a)
	})
	require.Eventually(t, func() bool { return codec.Ready() != nil }, time.Minute, time.Millisecond)
	three := w.scorer("three", func(c *Config) { c.Codec = third })
	stopThree := run(three)
	require.Eventually(t, func() bool { return third.Ready() != nil }, time.Minute, time.Millisecond, "it has taken partitions over and waits as well")
	w.away.Store(false)
	w.exact(160)
	require.NoError(t, stop())
	require.NoError(t, stopThree())
}

// A schema that cannot be had holds up the session that read it, with all of its
// partitions; those of other sessions are answered.
func TestOtherSessionsDoNotWaitForTheRegistry(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	codec := w.writing()
	s := w.scorer("one", func(c *Config) { c.Codec = codec })
	stop := run(s)
	w.apply(0, 40)
	w.exact(40)
	becomesReady(t, s)
	// owned are the partitions of a session.
	owned := func(one *session) (partitions []int32) {
		client := one.member.Client()
		if client == nil {
			return nil
		}
		return slices.Collect(maps.Keys(client.CommittedOffsets()[w.topics.Applications]))
	}
	require.Eventually(t, func() bool {
		return len(owned(s.sessions[0])) == partitions/2 && len(owned(s.sessions[1])) == partitions/2
	}, time.Minute, time.Millisecond)
	waits, others := owned(s.sessions[0]), owned(s.sessions[1])

	w.away.Store(true)
	a := avroApplication(40)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.topics.Applications, Partition: waits[0], Value: w.plain(40, a)}).FirstErr())
	require.Eventually(t, func() bool { return codec.Ready() != nil }, time.Minute, time.Millisecond)
	w.apply(41, 81)
	bySource, _ := w.outputs(60)
	for source := range bySource {
		require.True(t, source.Offset < 10 || slices.Contains(others, source.Partition), source)
	}
	require.Len(t, bySource, 60)
	require.InDelta(t, 60, testutil.ToFloat64(s.metrics.records), 0)
	require.ErrorIs(t, codec.Ready(), errAway)

	w.away.Store(false)
	w.exact(81)
	require.NoError(t, stop())
}

// A scorer that was not told of the registry says so, but not with each batch.
func TestAvroWithoutARegistryIsToldOf(t *testing.T) {
	t.Parallel()
	w := newAvroWorld(t)
	w.codec = nil
	var passed atomic.Int64 // seconds
	began := time.Now()
	var log capture.Output
	s := w.scorer("one", func(c *Config) {
		c.Now = func() time.Time { return began.Add(time.Duration(passed.Load()) * time.Second) }
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	stop := run(s)
	w.apply(0, 40) // two of them malformed
	w.exact(40)
	require.NotContains(t, log.String(), "Avro")
	told := func() int {
		return strings.Count(log.String(), "applications in Avro go to the dead letters: to read them, set --schema-registry")
	}
	n := 40
	emit := func() {
		w.applyAvro(n, n+4, w.plain)
		n += 4
		require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.records) == float64(n) }, time.Minute, time.Millisecond)
	}
	emit()
	require.Eventually(t, func() bool { return told() == 1 }, time.Minute, time.Millisecond)
	emit()
	passed.Add(59)
	emit()
	require.Equal(t, 1, told(), "not yet again")
	passed.Add(1)
	emit()
	require.NoError(t, stop())
	require.Equal(t, 2, told(), log.String())
	letters := w.exact(n)
	require.Len(t, letters, 4+16)
}
