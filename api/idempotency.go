package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/creditstream/creditstream/schemas"
)

// Idempotency keeps what became of requests that came with a key: a note for each,
// which is for the API to read.
type Idempotency interface {
	// Claim takes a key for a request with this digest. Where it is a new one, note is
	// kept at once; size is how many bytes it is going to have. A claim whose holder
	// died lapses by itself.
	Claim(ctx context.Context, key IdempotencyKey, digest, note []byte, size int) (Claimed, error)
	// Keep ends a claim with a note; whole: nothing is left to be done.
	Keep(ctx context.Context, key IdempotencyKey, token string, digest, note []byte, whole bool) error
	// Release ends a claim; forget: as if there had been none.
	Release(ctx context.Context, key IdempotencyKey, token string, forget bool) error
}

// IdempotencyKey is what a request is known by.
type IdempotencyKey struct {
	Scope   string // in which Key means this request: the caller; "" where no API key is asked for
	Account string // that what is kept counts for: "" for the caller's own, otherwise its address
	Key     string
}

// Claimed is what became of asking for a key.
type Claimed struct {
	// Token is what Keep and Release need; "" when the key was not to be had.
	Token string
	// Other: the key belongs to another request. Whole: nothing is left to be done for
	// this one. Full: too much is kept of this account or scope. None of them, without a Token:
	// somebody works on the request.
	Other, Whole, Full bool
	// Note is what was kept before; nil when nothing was.
	Note []byte
}

// Lease is how long a claim must last: past what a request takes to read what was
// recorded and to publish.
func (l Limits) Lease() time.Duration { return 2*l.Publish + 5*time.Second }

const (
	// NoteKept is how long a key's request is remembered.
	NoteKept = 10 * time.Minute

	maxIdempotencyKey = 255
	// storeTimeout bounds one question to the store.
	storeTimeout = time.Second
	// What a note takes: with no application, and for each more.
	noteBytes, positionBytes = 64, 24
)

// note is what is kept of a request: enough to go on where an attempt ended. What was
// decided is in the log.
type note struct {
	// AppliedAt is when applications were handed in that do not say so themselves: at the
	// first attempt.
	AppliedAt schemas.Timestamp `json:"applied_at"`
	// At is where each application's decision was recorded: partition and offset, in the
	// request's order; null where none was.
	At []*[2]int64 `json:"at,omitempty"`
}

// claim is an idempotency key that this request holds, or whose request is done.
type claim struct {
	key    IdempotencyKey
	token  string
	digest [sha256.Size]byte
	note   note
	first  bool // no attempt before this one is known
}

// applicationID is the id of the request's application at index, where it has none
// itself: derived from the caller, the key and the body, so that every retry makes
// the same. (A UUID of version 8, RFC 9562.)
func (c *claim) applicationID(index int) string {
	text := append([]byte("application_id\x00"+c.key.Scope+"\x00"+c.key.Key+"\x00"), c.digest[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(text, uint32(index)))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// whole says that an attempt before did all there was to do.
func (c *claim) whole() bool { return c != nil && c.token == "" }

// recorded is where the decision on an application was recorded; nil: not known to be.
func (c *claim) recorded(index int) *[2]int64 {
	if c == nil || index >= len(c.note.At) {
		return nil
	}
	return c.note.At[index]
}

// record notes where a decision was recorded.
func (c *claim) record(index int, at Position) {
	if c == nil {
		return
	}
	for len(c.note.At) <= index {
		c.note.At = append(c.note.At, nil)
	}
	c.note.At[index] = &[2]int64{int64(at.Partition), at.Offset}
}

// claim takes the request's idempotency key: nil without one.
func (s *Server) claim(r *http.Request, caller string, body []byte, applications int) (*claim, *problem) {
	keys := r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) > 1 || !validIdempotencyKey(keys[0]) {
		return nil, newProblem(http.StatusBadRequest, "idempotency-key", "The Idempotency-Key cannot be used", "One of 1 to 255 visible ASCII characters is taken.")
	}
	c := &claim{key: IdempotencyKey{Scope: caller, Key: keys[0]}, note: note{AppliedAt: schemas.At(s.config.Now())}}
	if s.config.Keys == nil {
		// A client finds its key again from wherever it asks; what is kept counts for where.
		c.key.Account = s.address(r)
	}
	h := sha256.New()
	h.Write([]byte(r.URL.Path + "?" + r.URL.RawQuery + "\x00"))
	h.Write(body)
	h.Sum(c.digest[:0])
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	held, err := s.config.Idempotency.Claim(ctx, c.key, c.digest[:], c.note.json(), noteBytes+applications*positionBytes)
	switch {
	case err != nil:
		return nil, newProblem(http.StatusServiceUnavailable, "idempotency-store", "Idempotency keys cannot be kept now", "Nothing was decided. Without a key the request would be served, at least once.").after(1)
	case held.Other:
		p := broken(schemas.Violation{Field: "Idempotency-Key", Rule: "must not be used again with another request"})
		p.Type, p.Title = problemType+"idempotency-reuse", "The Idempotency-Key belongs to another request"
		return nil, p
	case held.Full:
		return nil, newProblem(http.StatusTooManyRequests, "too-many-keys", "Too much is kept under idempotency keys",
			"Nothing was decided. The oldest are forgotten after ten minutes; without a key the request would be served, at least once.").after(60)
	case held.Token == "" && !held.Whole:
		return nil, newProblem(http.StatusConflict, "in-progress", "The request with this Idempotency-Key is in progress", "").after(1)
	}
	c.token, c.first = held.Token, held.Note == nil
	if held.Note != nil {
		if err := json.Unmarshal(held.Note, &c.note); err != nil {
			s.config.Log.Error("what is kept under an idempotency key cannot be read", "error", err)
			s.release(r.Context(), c)
			return nil, internalProblem()
		}
	}
	return c, nil
}

func (n *note) json() []byte {
	b, err := json.Marshal(n)
	if err != nil { // times and numbers only
		panic(err)
	}
	return b
}

func validIdempotencyKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			return false
		}
	}
	return key != "" && len(key) <= maxIdempotencyKey
}

// keep ends a claim with what was done; whole: all there was to do.
func (s *Server) keep(ctx context.Context, c *claim, whole bool) {
	s.settle(ctx, c, func(ctx context.Context) error {
		return s.config.Idempotency.Keep(ctx, c.key, c.token, c.digest[:], c.note.json(), whole)
	})
}

// release ends a claim under which nothing was decided.
func (s *Server) release(ctx context.Context, c *claim) {
	s.settle(ctx, c, func(ctx context.Context) error {
		return s.config.Idempotency.Release(ctx, c.key, c.token, c.first)
	})
}

func (s *Server) settle(ctx context.Context, c *claim, how func(ctx context.Context) error) {
	if c == nil || c.token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := how(ctx); err != nil { // the claim lapses; a retry then looks for what is in the log
		s.config.Log.Warn("an idempotency key was not settled", "error", err)
	}
}

// earlier is what an attempt before this one recorded on an application.
type earlier struct {
	prediction *schemas.Prediction // nil: not recorded, or gone
	gone       *problem            // nil: not
}

// clockSlack is how far the clocks of brokers and replicas may be apart where a retry
// looks for what an attempt before it published.
const clockSlack = time.Minute

// readBack reads what attempts before this one recorded on n applications: where they
// noted it and, where they could not, among what the log has taken since the first one.
// application is the one at an index; nil: there is none to be decided. Without anything
// it returns nothing.
func (s *Server) readBack(ctx context.Context, c *claim, n int, application func(index int) *schemas.Application) ([]earlier, *problem) {
	var (
		at             []Position
		unknown        []schemas.Application
		noted, unnoted []int // their indexes
		mayBePublished = c != nil && !c.first && !c.whole()
		all            []earlier
		predictions    []schemas.Prediction
		found          []bool
		published      []*Published
		err            error
	)
	for i := range n {
		if p := c.recorded(i); p != nil {
			at, noted = append(at, Position{int32(p[0]), p[1]}), append(noted, i)
		} else if a := application(i); a != nil && mayBePublished {
			unknown, unnoted = append(unknown, *a), append(unnoted, i)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Publish)
	defer cancel()
	if len(at) > 0 {
		predictions, found, err = s.config.Recorded.Predictions(ctx, at)
	}
	if len(unknown) > 0 && err == nil {
		published, err = s.config.Recorded.Since(ctx, c.note.AppliedAt.Time().Add(-clockSlack), unknown)
	}
	if err != nil {
		s.config.Log.Warn("recorded decisions cannot be read back", "decisions", len(at), "not_acknowledged", len(unknown), "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "unreadable", "What was recorded under this Idempotency-Key cannot be read now", "Nothing more was decided.").after(1)
	}
	take := func(i int, e earlier) {
		if all == nil {
			all = make([]earlier, n)
		}
		all[i] = e
	}
	for k, i := range noted {
		if wanted := application(i).ApplicationID; found[k] && predictions[k].ApplicationID == wanted {
			take(i, earlier{prediction: &predictions[k]})
		} else {
			take(i, earlier{gone: gone(wanted)})
		}
	}
	for k, i := range unnoted {
		if p := published[k]; p != nil {
			c.record(i, p.At)
			take(i, earlier{prediction: &p.Prediction})
		}
	}
	return all, nil
}

// gone is a decision that was recorded and cannot be told again.
func gone(applicationID string) *problem {
	p := newProblem(http.StatusGone, "gone", "The decision was recorded and is no longer in the log",
		"It is not made again under this Idempotency-Key. GET /predictions/{id} may still have it.")
	p.ApplicationID = applicationID
	return p
}

// replay gives a whole answer again.
func (s *Server) replay(w http.ResponseWriter, answer []byte) {
	s.metrics.replayed.Inc()
	w.Header().Set("Idempotency-Replayed", "true")
	writeJSON(w, answer)
}
