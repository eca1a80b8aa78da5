package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/creditstream/creditstream/schemas"
)

// Idempotency keeps the answers of requests that came with a key, per scope.
type Idempotency interface {
	// Claim takes a key for a request with this digest; token is then what the
	// other two need. It is "" when the key is taken already: heldDigest is the
	// other request's, answer nil while that is in progress. A claim whose holder
	// died lapses by itself.
	Claim(ctx context.Context, scope, key string, digest []byte) (token string, heldDigest, answer []byte, err error)
	// Complete keeps the answer of a claim.
	Complete(ctx context.Context, scope, key, token string, digest, answer []byte) error
	// Release ends a claim without an answer.
	Release(ctx context.Context, scope, key, token string) error
}

// Lease is how long a claim must last: past what a request takes to publish.
func (l Limits) Lease() time.Duration { return l.Publish + 5*time.Second }

const (
	// AnswerKept is how long a key's answer is given again.
	AnswerKept = 10 * time.Minute

	maxIdempotencyKey = 255
	// storeTimeout bounds one question to the store.
	storeTimeout = time.Second
)

// claim is an idempotency key that this request holds.
type claim struct {
	scope, key, token string
	digest            [sha256.Size]byte
}

// applicationID is the id of the request's application at index, where it has none
// itself: derived from the caller, the key and the body, so that every retry makes
// the same. (A UUID of version 8, RFC 9562.)
func (c *claim) applicationID(index int) string {
	text := append([]byte("application_id\x00"+c.scope+"\x00"+c.key+"\x00"), c.digest[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(text, uint32(index)))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// claim takes the request's idempotency key: nil without one. kept is the answer
// that was given before.
func (s *Server) claim(r *http.Request, caller string, body []byte) (c *claim, kept []byte, p *problem) {
	keys := r.Header["Idempotency-Key"]
	if len(keys) == 0 {
		return nil, nil, nil
	}
	if len(keys) > 1 || !validIdempotencyKey(keys[0]) {
		return nil, nil, newProblem(http.StatusBadRequest, "idempotency-key", "The Idempotency-Key cannot be used", "One of 1 to 255 visible ASCII characters is taken.")
	}
	c = &claim{scope: caller, key: keys[0]}
	h := sha256.New()
	h.Write([]byte(r.URL.Path + "?" + r.URL.RawQuery + "\x00"))
	h.Write(body)
	h.Sum(c.digest[:0])
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	token, held, kept, err := s.config.Idempotency.Claim(ctx, c.scope, c.key, c.digest[:])
	switch {
	case err != nil:
		return nil, nil, newProblem(http.StatusServiceUnavailable, "idempotency-store", "Idempotency keys cannot be kept now", "Nothing was decided. Without a key the request would be served, at least once.").after(1)
	case token != "":
		c.token = token
		return c, nil, nil
	case !bytes.Equal(held, c.digest[:]):
		p := broken(schemas.Violation{Field: "Idempotency-Key", Rule: "must not be used again with another request"})
		p.Type, p.Title = problemType+"idempotency-reuse", "The Idempotency-Key belongs to another request"
		return nil, nil, p
	case kept == nil:
		return nil, nil, newProblem(http.StatusConflict, "in-progress", "The request with this Idempotency-Key is in progress", "").after(1)
	}
	return nil, kept, nil
}

func validIdempotencyKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			return false
		}
	}
	return key != "" && len(key) <= maxIdempotencyKey
}

// settle ends a claim: with the answer, or free for a retry where there is none
// worth keeping.
func (s *Server) settle(ctx context.Context, c *claim, answer []byte, keep bool) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	var err error
	if keep {
		err = s.config.Idempotency.Complete(ctx, c.scope, c.key, c.token, c.digest[:], answer)
	} else {
		err = s.config.Idempotency.Release(ctx, c.scope, c.key, c.token)
	}
	if err != nil { // the claim lapses; a retry then decides again, under the same id
		s.config.Log.Warn("an idempotency key was not settled", "error", err)
	}
}

// replay gives an answer again.
func (s *Server) replay(w http.ResponseWriter, answer []byte) {
	s.metrics.replayed.Inc()
	w.Header().Set("Idempotency-Replayed", "true")
	writeJSON(w, answer)
}
