package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// odd is an answer that is no schema.
type odd struct {
	words string
	login bool
}

func (o odd) Error() string           { return "registry: " + o.words }
func (o odd) Refusal() (string, bool) { return o.words, o.login }
func (odd) Later() bool               { return false }

// busy is an odd answer that asks to come back later.
type busy struct{ odd }

func (busy) Later() bool { return true }

// errUnknown is the answer that there is no such schema, HTTP 404 with code 40403.
var errUnknown = errors.New("schema not found")

// counter is a registry that answers by id.
type counter struct {
	*shelf
	answer   func(id uint32) error // nil: as the shelf does
	given    bool                  // of subjects
	now, max atomic.Int32          // questions at once
}

func (c *counter) Schema(ctx context.Context, id uint32) (string, bool, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for m := c.max.Load(); n > m && !c.max.CompareAndSwap(m, n); m = c.max.Load() {
	}
	text, there, err := c.shelf.Schema(ctx, id)
	if c.answer != nil {
		odd := c.answer(id)
		if errors.Is(odd, errUnknown) {
			return "", false, nil
		}
		if odd != nil {
			return "", false, odd
		}
	}
	return text, there, err
}

func (c *counter) Gives(context.Context, string) (bool, error) { return c.given, nil }

func values(ids ...uint32) func(func(schemas.Source, []byte) bool) {
	return func(yield func(schemas.Source, []byte) bool) {
		for i, id := range ids {
			if !yield(schemas.Source{Topic: "t.applications", Partition: 3, Offset: int64(40 + i)}, written(id)) {
				return
			}
		}
	}
}

// What the registry says of one id instead of giving it becomes the value's own error
// once it gives others; ids that it refused are not asked for with every value.
func TestRefusal_OfOneIDEndsInAnAnswer(t *testing.T) {
	for _, login := range []bool{false, true} {
		t.Run(fmt.Sprintf("login=%v", login), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &counter{shelf: newShelf(), answer: func(id uint32) error {
					if id == 42 {
						return odd{"HTTP 403: denied by policy", login}
					}
					return nil
				}}
				var log strings.Builder
				c := New(Config{Registry: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
				began := time.Now()
				require.NoError(t, c.Learn(t.Context(), schemas.EventApplication, values(42, applicationID, 42)))
				require.GreaterOrEqual(t, time.Since(began), refusalPatience, "it is doubted first")
				require.Less(t, time.Since(began), 3*refusalPatience)
				var a schemas.Application
				n := s.asked
				for range 1000 {
					err := c.DecodeApplication(t.Context(), written(42), &a)
					require.EqualError(t, err, "Avro schema id 42: the schema registry does not give it: HTTP 403: denied by policy")
					require.True(t, IsBroken(err))
					require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &a))
				}
				require.Equal(t, n, s.asked, "remembered")
				require.NoError(t, c.Ready())
				require.NotContains(t, log.String(), "does not say what a schema is")
				require.Equal(t, 1, strings.Count(log.String(), "does not give a schema"))

				time.Sleep(unknownTime + time.Second)
				began = time.Now()
				require.Error(t, c.DecodeApplication(t.Context(), written(42), &a))
				require.Less(t, time.Since(began), time.Second, "it was doubted before")
				require.LessOrEqual(t, s.asked-n, 3)

				began = time.Now()
				s.answer = func(id uint32) error {
					if id >= 42 && id < 142 {
						return odd{"HTTP 500: store failed", false}
					}
					return nil
				}
				for id := uint32(43); id < 48; id++ {
					require.NoError(t, c.Learn(t.Context(), schemas.EventApplication, values(id)))
				}
				require.Less(t, time.Since(began), 5*2*shortPatience+refusalPatience/2, "one of several such ids is doubted for less")

				s.answer = nil
				s.schemas[42] = s.schemas[applicationID]
				time.Sleep(unknownTime + time.Second)
				require.NoError(t, c.DecodeApplication(t.Context(), written(42), &a), "asked for again")
			})
		})
	}
}

// An answer that asks to come back later is doubted for longer, and is one about the id
// in the end: while everything is answered so, it is waited out.
func TestRefusal_ThatAsksForLaterEndsInAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counter{shelf: newShelf()}
		var all atomic.Bool
		all.Store(true)
		s.answer = func(id uint32) error {
			if id == 42 || all.Load() {
				return busy{odd{"HTTP 429: slow down", false}}
			}
			return nil
		}
		c := New(Config{Registry: s, Log: slog.New(slog.DiscardHandler)})
		learnt := make(chan error, 1)
		go func() { learnt <- c.Learn(t.Context(), schemas.EventApplication, values(42)) }()
		time.Sleep(10 * laterFactor * refusalPatience)
		synctest.Wait()
		require.Empty(t, learnt, "everything is answered so")
		require.ErrorContains(t, c.Ready(), "HTTP 429: slow down", "it says for what it waits")
		all.Store(false)
		require.NoError(t, <-learnt)
		var a schemas.Application
		require.EqualError(t, c.DecodeApplication(t.Context(), written(42), &a), "Avro schema id 42: the schema registry does not give it: HTTP 429: slow down")

		s = &counter{shelf: newShelf(), answer: func(id uint32) error {
			if id == 42 {
				return busy{odd{"HTTP 503: maintenance", false}}
			}
			return nil
		}}
		c = New(Config{Registry: s, Log: slog.New(slog.DiscardHandler)})
		began := time.Now()
		require.NoError(t, c.Learn(t.Context(), schemas.EventApplication, values(42, applicationID)))
		require.GreaterOrEqual(t, time.Since(began), laterFactor*refusalPatience)
		require.Less(t, time.Since(began), 2*laterFactor*refusalPatience)
	})
}

// Where everything is refused, the answer is not about one id: a wrong password makes
// no dead letters.
func TestRefusal_OfEverythingIsWaitedOut(t *testing.T) {
	for _, login := range []bool{false, true} {
		t.Run(fmt.Sprintf("login=%v", login), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &counter{shelf: newShelf(), answer: func(uint32) error { return odd{"HTTP 401: who are you?", login} }}
				var log strings.Builder
				c := New(Config{Registry: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
				done := make(chan error, 1)
				go func() { done <- c.Learn(t.Context(), schemas.EventApplication, values(applicationID, 42)) }()
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Empty(t, done)
				require.ErrorContains(t, c.Ready(), "t.applications/3/4")
				require.ErrorContains(t, c.Ready(), "HTTP 401: who are you?")
				require.ErrorContains(t, c.Ready(), "not taken for an answer about this id alone")
				require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
				require.Contains(t, log.String(), "topic=t.applications partition=3 offset=4")

				// Let in again, the one that is still refused is an answer.
				s.set(func() {
					s.answer = func(id uint32) error {
						if id == 42 {
							return odd{"HTTP 403: no", login}
						}
						return nil
					}
				})
				require.NoError(t, <-done)
				require.NoError(t, c.Ready())
				var a schemas.Application
				require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &a))
				require.ErrorContains(t, c.DecodeApplication(t.Context(), written(42), &a), "HTTP 403: no")
			})
		})
	}
}

// hiding is a registry that answers every id it does not have as a proxy answers an
// unknown page, not as a registry.
func hiding() *counter {
	s := &counter{shelf: newShelf()}
	s.answer = func(id uint32) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, there := s.schemas[id]; there {
			return nil
		}
		return odd{"HTTP 404: <html>", false}
	}
	return s
}

// Where the registry refuses every unknown id, what it registered, or the topic's latest
// schema, shows that an answer is about one id: with nothing in memory, too.
func TestRefusal_WhereUnknownIDsAreRefusedTooEndsInAnAnswer(t *testing.T) {
	refused := func(t *testing.T, c *Codec) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, c.Learn(ctx, schemas.EventApplication, values(42)))
		err := c.DecodeApplication(ctx, written(42), &schemas.Application{})
		require.EqualError(t, err, "Avro schema id 42: the schema registry does not give it: HTTP 404: <html>")
		require.True(t, IsBroken(err))
		require.NoError(t, c.Ready())
	}
	t.Run("registered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := New(Config{Registry: hiding(), Writes: map[schemas.Event]string{schemas.EventPrediction: "t.predictions"}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = c.Run(ctx) }()
			require.NoError(t, c.Await(t.Context()))
			refused(t, c)
		})
	})
	t.Run("subject", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := hiding()
			s.given = true
			refused(t, New(Config{Registry: s}))
		})
	})
}

// A registry that does not give what it registered has lost its store, perhaps: that it
// answers well what is unknown does not make letters of values with schemas it had.
func TestRefusal_OfWhatIsRegisteredIsWaitedOut(t *testing.T) {
	broken := odd{"HTTP 500: store failed", false}
	for name, registered := range map[string]error{"500": broken, "40403": errUnknown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &counter{shelf: newShelf()}
				var lost atomic.Bool
				lost.Store(true)
				s.answer = func(id uint32) error {
					s.mu.Lock()
					defer s.mu.Unlock()
					_, there := s.schemas[id]
					switch {
					case !there || !lost.Load():
						return nil
					case id == applicationID:
						return broken
					}
					return registered
				}
				c := New(Config{Registry: s, Writes: map[schemas.Event]string{schemas.EventPrediction: "t.predictions"}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { _ = c.Run(ctx) }()
				require.NoError(t, c.Await(t.Context()))
				done := make(chan error, 1)
				go func() { done <- c.Learn(ctx, schemas.EventApplication, values(applicationID)) }()
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Empty(t, done)
				require.ErrorContains(t, c.Ready(), errNothingElse.Error())
				lost.Store(false)
				require.NoError(t, <-done)
				require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &schemas.Application{}))
			})
		})
	}
}

// A login that is let in, but may not read this topic's schemas, is a wrong grant: what
// is open to all, such as that an id is unknown or the schema of other events, says
// nothing of it. The subject's own latest schema does.
func TestRefusal_OfAGrantTakesTheSubjectAsWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counter{shelf: newShelf(), answer: func(id uint32) error {
			if id == 42 {
				return odd{"HTTP 403: no", true}
			}
			return nil
		}}
		s.schemas[9] = schemas.AvroSchema(schemas.EventOutcome)
		c := New(Config{Registry: s})
		require.NoError(t, c.Learn(t.Context(), schemas.EventOutcome, values(9)))
		done := make(chan error, 1)
		go func() { done <- c.Learn(t.Context(), schemas.EventApplication, values(42)) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, done)
		require.ErrorContains(t, c.Ready(), "it gives no other schema of t.applications-value either")
		s.set(func() { s.given = true })
		require.NoError(t, <-done)
	})
}

func TestRefusal_EndsACommandBeforeItGivesUp(t *testing.T) {
	for _, refusal := range []error{odd{"HTTP 500: store failed", false}, busy{odd{"HTTP 503: maintenance", false}}} {
		synctest.Test(t, func(t *testing.T) {
			s := &counter{shelf: newShelf(), answer: func(id uint32) error {
				if id == 42 {
					return refusal
				}
				return nil
			}}
			c := New(Config{Registry: s, Patience: 10 * time.Second})
			var a schemas.Application
			err := c.DecodeApplication(t.Context(), written(42), &a)
			require.ErrorContains(t, err, "the schema registry does not give it: HTTP 50")
			require.True(t, IsBroken(err))
		})
	}
}

// Silence about one id is waited out, and named by where it is, however well other
// ids are answered.
func TestLearn_SilenceNamesWhereItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counter{shelf: newShelf(), answer: func(id uint32) error {
			if id == 42 {
				return errAway
			}
			return nil
		}}
		var log strings.Builder
		c := New(Config{Registry: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Learn(ctx, schemas.EventApplication, values(applicationID, 42)) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		var a schemas.Application
		require.NoError(t, c.DecodeApplication(t.Context(), written(applicationID), &a))
		require.EqualError(t, c.Ready(), "t.applications/3/41 waits for Avro schema id 42: registry: connection refused")
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
		require.Contains(t, log.String(), "topic=t.applications partition=3 offset=41 schema_id=42")
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, c.Ready())
	})
}

// Ids that nobody knows are asked for side by side, at most so many at once and so
// many a second.
func TestLearn_AsksForSeveralAtOnceAndNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counter{shelf: newShelf()}
		s.pause = 50 * time.Millisecond
		c := New(Config{Registry: s})
		const n = 4 * LearnWindow
		learn := func() time.Duration {
			began := time.Now()
			for from := range n / LearnWindow {
				var ids []uint32
				for i := range LearnWindow {
					ids = append(ids, uint32(1000+from*LearnWindow+i))
				}
				require.NoError(t, c.Learn(t.Context(), schemas.EventApplication, values(ids...)))
				asked := s.asked
				for _, id := range ids {
					err := c.DecodeApplication(t.Context(), written(id), &schemas.Application{})
					require.ErrorIs(t, err, errUnknownSchema)
				}
				require.Equal(t, asked, s.asked, "what was learned is there when it is read")
			}
			return time.Since(began)
		}
		took := learn()
		require.EqualValues(t, 8, s.max.Load())
		require.Less(t, took, n*s.pause/4, "not one after the other")

		// A fast registry is not flooded.
		s.pause = 0
		time.Sleep(unknownTime + time.Second)
		require.GreaterOrEqual(t, learn(), 4*time.Second, "1,024 ids, 200 a second after the first 100")
	})
}

func TestLearn_PassesOverWhatTakesNoRegistry(t *testing.T) {
	var none *Codec
	require.NoError(t, none.Learn(t.Context(), schemas.EventApplication, values(1, 2)))
	s := newShelf()
	s.away = errors.New("not to be asked")
	c := New(Config{Registry: s})
	require.NoError(t, c.Learn(t.Context(), schemas.EventApplication, func(yield func(schemas.Source, []byte) bool) {
		for _, value := range [][]byte{nil, {0}, {0, 0, 0}, []byte("{}"), {1, 0, 0, 0, 9}} {
			if !yield(schemas.Source{}, value) {
				return
			}
		}
	}))
	require.Zero(t, s.asked)
}
