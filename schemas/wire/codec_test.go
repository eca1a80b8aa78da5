package wire

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// shelf is a registry in memory.
type shelf struct {
	mu      sync.Mutex
	schemas map[uint32]string
	away    error
	asked   int
	pause   time.Duration // an answer takes
}

func (s *shelf) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) Schema(ctx context.Context, id uint32) (string, bool, error) {
	sleep(ctx, s.pause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	text, ok := s.schemas[id]
	return text, ok, s.away
}

func (s *shelf) Register(_ context.Context, subject, schema string) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return 0, s.away
	}
	id := uint32(100 + len(subject))
	s.schemas[id] = schema
	return id, nil
}

const applicationID = 7

func newShelf() *shelf {
	return &shelf{schemas: map[uint32]string{applicationID: schemas.AvroSchema(schemas.EventApplication)}}
}

func application() *schemas.Application {
	a := &schemas.Application{ApplicationID: "A-1", AppliedAt: 1e15}
	for i, rule := range schemas.FeatureRules {
		a.Features[i] = rule.Max
	}
	return a
}

func written(id uint32) []byte {
	return schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, id), application())
}

var errAway = errors.New("registry: connection refused")

func TestBothFormatsAreRead(t *testing.T) {
	s := newShelf()
	c := New(Config{Registry: s})
	var a schemas.Application
	for range 3 {
		require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &a))
		require.Equal(t, *application(), a)
		a = schemas.Application{}
		require.NoError(t, c.DecodeApplication(t.Context(), schemas.AppendApplication(nil, application()), &a))
		require.Equal(t, *application(), a)
	}
	require.Equal(t, 1, s.asked, "a schema is asked for once")
	require.NoError(t, c.Ready())

	broken := *application()
	broken.Features[4] = 200
	for _, value := range [][]byte{schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, applicationID), &broken), schemas.AppendApplication(nil, &broken)} {
		err := c.DecodeApplication(t.Context(), value, &a)
		require.EqualError(t, err, "features.age 200: must be a whole number, 18 … 120, or null")
		require.True(t, IsBroken(err))
	}
	for _, value := range [][]byte{{0}, {0, 0, 0, 0}, {0, 0, 0, 0, applicationID}, {1, 0, 0, 0, applicationID}, {}} {
		err := c.DecodeApplication(t.Context(), value, &a)
		_, decode := errors.AsType[*schemas.DecodeError](err)
		require.True(t, decode, "%v: %v", value, err)
	}
}

func TestWithoutARegistryAvroIsNamed(t *testing.T) {
	var (
		c *Codec
		a schemas.Application
		p schemas.Prediction
		o schemas.Outcome
	)
	require.NoError(t, c.Await(t.Context()))
	require.NoError(t, c.DecodeApplication(t.Context(), c.AppendApplication(nil, application()), &a))
	for _, err := range []error{
		c.DecodeApplication(t.Context(), written(9), &a), c.DecodePrediction(t.Context(), written(9), &p), c.DecodeOutcome(t.Context(), written(9), &o),
	} {
		require.EqualError(t, err, "Avro schema id 9: takes a schema registry to read: set --schema-registry")
		require.ErrorIs(t, err, ErrNoRegistry)
		require.True(t, IsBroken(err))
	}
	require.True(t, bytes.HasPrefix(c.AppendPrediction(nil, &p), []byte("{")))
	require.True(t, bytes.HasPrefix(c.AppendOutcome(nil, &o), []byte("{")))
}

func TestWhatIsWrittenIsRegisteredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.away = errAway
		topics := schemas.NewTopics("t")
		c := New(Config{Registry: s, Writes: map[schemas.Event]string{schemas.EventPrediction: topics.Predictions, schemas.EventOutcome: topics.Outcomes}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		require.ErrorIs(t, c.Ready(), errAway)
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err := c.Await(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errAway, "it says what it waited for")
		require.Panics(t, func() { c.AppendPrediction(nil, &schemas.Prediction{}) })

		s.set(func() { s.away = nil })
		require.NoError(t, c.Await(ctx))
		require.NoError(t, c.Ready())
		o := schemas.Outcome{ApplicationID: "A-1", Defaulted: 1, ObservedAt: 5}
		value := c.AppendOutcome(nil, &o)
		id, _, err := schemas.CutAvroHeader(value)
		require.NoError(t, err)
		require.Equal(t, schemas.AvroSchema(schemas.EventOutcome), s.schemas[id])
		var got schemas.Outcome
		require.NoError(t, c.DecodeOutcome(ctx, value, &got))
		require.Equal(t, o, got)
		require.True(t, bytes.HasPrefix(c.AppendApplication(nil, application()), []byte("{")), "nobody said that it writes these")
		stop()
		require.NoError(t, <-done)
	})
}

type refusal struct{ error }

func (refusal) Permanent() bool { return true }

func TestARefusedSchemaEndsTheProcess(t *testing.T) {
	s := newShelf()
	s.away = refusal{errors.New("incompatible")}
	c := New(Config{Registry: s, Writes: map[schemas.Event]string{schemas.EventPrediction: "t"}})
	require.EqualError(t, c.Run(t.Context()), "incompatible")
}

// A registry that is away costs nothing but time: what waits goes on by itself.
func TestReadingWaitsForTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.away = errAway
		reg := prometheus.NewRegistry()
		c := New(Config{Registry: s, Registerer: reg})
		var read atomic.Int32
		for range 5 {
			go func() {
				var a schemas.Application
				if c.DecodeApplication(t.Context(), written(applicationID), &a) == nil {
					read.Add(1)
				}
			}()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, read.Load())
		require.ErrorIs(t, c.Ready(), errAway)
		require.Positive(t, testutil.ToFloat64(c.metrics.errors))

		stopped, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var a schemas.Application
		err := c.DecodeApplication(stopped, written(applicationID), &a)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, IsBroken(err), "it must be read again, not dead-lettered")
		require.NoError(t, c.DecodeApplication(t.Context(), schemas.AppendApplication(nil, application()), &a), "JSON does not wait")

		s.set(func() { s.away = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 5, read.Load())
		require.NoError(t, c.Ready())

		// What is known is read without it.
		s.set(func() { s.away = errAway })
		require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &a))
		require.NoError(t, c.Ready())
	})
}

func TestACommandGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.away = errAway
		c := New(Config{Registry: s, Patience: 10 * time.Second})
		var a schemas.Application
		err := c.DecodeApplication(t.Context(), written(applicationID), &a)
		require.ErrorIs(t, err, errAway)
		require.ErrorContains(t, err, "given up after 10s")
		require.False(t, IsBroken(err))
	})
}

func TestAnUnknownIDIsDoubtedOnceAndAskedForAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		c := New(Config{Registry: s})
		var a schemas.Application
		unknown := func(id uint32) {
			t.Helper()
			err := c.DecodeApplication(t.Context(), written(id), &a)
			require.ErrorContains(t, err, "the schema registry knows no such schema")
			require.True(t, IsBroken(err))
		}
		unknown(42)
		require.Equal(t, 2, s.asked)
		for range 100 {
			unknown(42)
		}
		require.Equal(t, 2, s.asked, "remembered")
		began := time.Now()
		for id := range uint32(50) {
			unknown(1000 + id)
		}
		require.Equal(t, 52, s.asked)
		require.Zero(t, time.Since(began), "garbage does not hold up every record")

		s.set(func() { s.schemas[42] = s.schemas[applicationID] })
		time.Sleep(unknownTime + time.Second)
		require.NoError(t, c.DecodeApplication(t.Context(), written(42), &a))

		// A replica of the registry that lags behind for a moment.
		time.Sleep(doubtInterval)
		go func() {
			time.Sleep(doubtPause / 2)
			s.set(func() { s.schemas[43] = s.schemas[applicationID] })
		}()
		require.NoError(t, c.DecodeApplication(t.Context(), written(43), &a))
	})
}

func TestASchemaThatDoesNotFitIsNamed(t *testing.T) {
	s := newShelf()
	s.schemas[8] = schemas.AvroSchema(schemas.EventOutcome)
	s.schemas[9] = strings.Replace(schemas.AvroSchema(schemas.EventApplication), `"fields": [`, `"fields": [{"name": "branch", "type": "string"},`, 1)
	c := New(Config{Registry: s})
	var a schemas.Application
	for range 2 {
		err := c.DecodeApplication(t.Context(), written(8), &a)
		require.ErrorContains(t, err, "Avro schema id 8: cannot be read as application")
		require.True(t, IsBroken(err))
	}
	require.Equal(t, 1, s.asked)
	require.NoError(t, c.DecodeApplication(t.Context(), append(schemas.AppendAvroHeader(nil, 9), append([]byte{2, 'x'}, written(9)[5:]...)...), &a))
	require.Equal(t, *application(), a)
}

func TestManyAskForOneSchemaOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.pause = time.Second
		c := New(Config{Registry: s})
		first, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		for i := range 20 {
			ctx := t.Context()
			if i == 0 {
				ctx = first // who came first may leave
			}
			group.Go(func() {
				var a schemas.Application
				if err := c.DecodeApplication(ctx, written(applicationID), &a); err != nil && ctx != first {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		group.Wait()
		require.Equal(t, 1, s.asked)
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	var c cache
	reader := &schemas.AvroReader{}
	for id := range uint32(10) {
		c.put(key{schemas.EventApplication, id}, known{reader: reader})
	}
	for id := range uint32(3 * maxCached) {
		require.LessOrEqual(t, c.put(key{schemas.EventApplication, 1000 + id}, known{err: errUnknownSchema, until: time.Now().Add(time.Hour)}), maxCached)
	}
	for id := range uint32(10) {
		_, ok := c.get(key{schemas.EventApplication, id})
		require.True(t, ok, "unknown ids do not drive out what is known")
	}
	for id := range uint32(2 * maxCached) {
		require.LessOrEqual(t, c.put(key{schemas.EventPrediction, id}, known{reader: reader}), maxCached)
	}
	_, ok := c.get(key{schemas.EventPrediction, 2*maxCached - 1})
	require.True(t, ok)
}

func BenchmarkDecodeApplication(b *testing.B) {
	c := New(Config{Registry: newShelf()})
	value := written(applicationID)
	var a schemas.Application
	b.ReportAllocs()
	for b.Loop() {
		if err := c.DecodeApplication(b.Context(), value, &a); err != nil {
			b.Fatal(err)
		}
	}
}

// A letter that was cut still says whose it was, by the schema that wrote it.
func TestCodec_ReadsTheIDOfACutApplication(t *testing.T) {
	c := New(Config{Registry: newShelf()})
	f := func(c *Codec, value []byte, want string) {
		t.Helper()
		id, known, err := c.DecodeCutApplication(t.Context(), value)
		require.NoError(t, err)
		require.Equal(t, want, id)
		require.Equal(t, want != "", known)
	}
	whole := written(applicationID)
	f(c, whole[:12], "A-1")
	f(c, whole[:7], "") // within the id
	f(c, whole[:3], "") // within the header
	f(nil, whole, "")   // without a registry nobody knows
	f(nil, schemas.AppendApplication(nil, application())[:60], "A-1")
}
