// Package idempotency keeps, in Redis and for a while, which requests have been
// answered and how, so that a retry gets the first answer. It knows nothing of
// what is asked.
package idempotency

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store holds a hash per key: the request's digest, then a holder's token while
// the answer is being made, then the answer.
type Store struct {
	client redis.UniversalClient
	begin  string // of every key
	lease  time.Duration
	keep   time.Duration
}

// NewStore returns the Store of the deployment named prefix. A claim whose holder
// died lapses after lease; an answer is kept for keep.
func NewStore(client redis.UniversalClient, prefix string, lease, keep time.Duration) *Store {
	return &Store{client, prefix + ":idempotency:", lease, keep}
}

// claim takes the key, or returns the digest and the answer that it holds.
var claim = redis.NewScript(`
local digest = redis.call('HGET', KEYS[1], 'digest')
if digest then
  return {digest, redis.call('HGET', KEYS[1], 'answer')}
end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'token', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {}
`)

// complete puts the answer in place of the token. A claim that lapsed meanwhile
// counts as long as nobody else has taken the key.
var complete = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'token')
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'answer', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`)

// release gives the key up for the next.
var release = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
`)

// Claim takes a key of a scope for a request with this digest. Token is then what
// Complete and Release need. It is "" when the key is taken already: heldDigest is
// the other request's, and answer nil while that is in progress.
func (s *Store) Claim(ctx context.Context, scope, key string, digest []byte) (token string, heldDigest, answer []byte, err error) {
	token = rand.Text()
	held, err := claim.Run(ctx, s.client, []string{s.name(scope, key)}, digest, token, s.lease.Milliseconds()).Slice()
	switch {
	case err != nil:
		return "", nil, nil, fmt.Errorf("claiming an idempotency key: %w", err)
	case len(held) == 0:
		return token, nil, nil, nil
	}
	text, _ := held[0].(string)
	heldDigest = []byte(text)
	if text, ok := held[len(held)-1].(string); ok && len(held) > 1 {
		answer = []byte(text)
	}
	return "", heldDigest, answer, nil
}

// Complete keeps the answer of a claim.
func (s *Store) Complete(ctx context.Context, scope, key, token string, digest, answer []byte) error {
	if err := complete.Run(ctx, s.client, []string{s.name(scope, key)}, token, digest, answer, s.keep.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("keeping an answer: %w", err)
	}
	return nil
}

// Release ends a claim without an answer.
func (s *Store) Release(ctx context.Context, scope, key, token string) error {
	if err := release.Run(ctx, s.client, []string{s.name(scope, key)}, token).Err(); err != nil {
		return fmt.Errorf("releasing an idempotency key: %w", err)
	}
	return nil
}

// name is the Redis key: of one length, whatever a client sends.
func (s *Store) name(scope, key string) string {
	digest := sha256.Sum256([]byte(scope + "\x00" + key))
	return s.begin + hex.EncodeToString(digest[:16])
}
