// Package idempotency keeps, in Redis and for a while, which requests have been
// worked on and a note of what became of them, so that a retry goes on where the
// first attempt ended. It knows nothing of what is asked.
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

// What is kept.
const (
	// maxNote bounds what is kept under one key, in bytes.
	maxNote = 64 << 10
	// maxAccount bounds what is kept of one account, in bytes of digests and notes.
	maxAccount = 16 << 20
	// maxScope bounds what is kept of all accounts of a scope.
	maxScope = 256 << 20
)

// Key is what a request is known by.
type Key struct {
	Scope   string // in which Key means this request
	Account string // of the scope, that what is kept counts for: of the first to claim Key; "" where the scope has but one
	Key     string
}

// Store holds for each key a hash with the request's digest and the note, and beside
// it, while somebody works on the request, the token of the claim. For each scope
// and account it holds how many bytes were kept in which minute.
type Store struct {
	client     redis.UniversalClient
	begin      string // of every key
	lease      time.Duration
	keep       time.Duration
	maxAccount int
	maxScope   int
	now        func() time.Time
}

// NewStore returns the Store of the deployment named prefix. A claim whose holder
// died lapses after lease; what is noted is kept for keep.
func NewStore(client redis.UniversalClient, prefix string, lease, keep time.Duration) *Store {
	return &Store{client, prefix + ":idempotency:", lease, keep, maxAccount, maxScope, time.Now}
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

// used adds up what is kept of an account or scope, and forgets what no longer is.
const used = `
local function used(name, minute, minutes)
  local sum, all = 0, redis.call('HGETALL', name)
  for i = 1, #all, 2 do
    if tonumber(all[i]) < minute - minutes then
      redis.call('HDEL', name, all[i])
    else
      sum = sum + tonumber(all[i + 1])
    end
  end
  return sum
end
`

// claim takes the key, or says what it holds.
// KEYS: note, claim, used… ARGV: digest, token, lease ms, keep ms, note, size, minute, minutes, most…
var claim = redis.NewScript(used + `
local held = redis.call('HMGET', KEYS[1], 'digest', 'note', 'whole')
if held[1] then
  if held[1] ~= ARGV[1] then
    return {'other'}
  elseif held[3] then
    return {'whole', held[2]}
  elseif redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
    return {'taken', held[2]}
  end
  return {'busy'}
end
for i = 3, #KEYS do
  if used(KEYS[i], tonumber(ARGV[7]), tonumber(ARGV[8])) + tonumber(ARGV[6]) > tonumber(ARGV[6 + i]) then
    return {'full'}
  end
end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'note', ARGV[5], 'size', ARGV[6])
if #KEYS == 4 then
  redis.call('HSET', KEYS[1], 'account', string.sub(KEYS[3], #KEYS[4] + 2))
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
for i = 3, #KEYS do
  redis.call('HINCRBY', KEYS[i], ARGV[7], ARGV[6])
  redis.call('PEXPIRE', KEYS[i], ARGV[4] * 2)
end
return {'taken'}
`)

// payers are the counters that a key's bytes were added to: its scope's and that of the
// account that claimed it first, whoever asks for it now.
const payers = `
local function payers()
  local account = redis.call('HGET', KEYS[1], 'account')
  if account then
    return {KEYS[#KEYS] .. ':' .. account, KEYS[#KEYS]}
  end
  return {unpack(KEYS, 3)}
end
`

// keep ends a claim with a note. A claim that lapsed meanwhile counts as long as
// nobody else has taken the key or finished the request.
// KEYS: note, claim, used… ARGV: digest, token, keep ms, note, size, minute, whole
var keep = redis.NewScript(payers + `
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then
  return 0
end
local held = redis.call('HMGET', KEYS[1], 'digest', 'whole', 'size')
if held[1] and (held[1] ~= ARGV[1] or held[2]) then
  return 0
end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'note', ARGV[4], 'size', ARGV[5])
if ARGV[7] == '1' then
  redis.call('HSET', KEYS[1], 'whole', '1')
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2])
for _, counter in ipairs(payers()) do
  redis.call('HINCRBY', counter, ARGV[6], tonumber(ARGV[5]) - tonumber(held[3] or '0'))
  redis.call('PEXPIRE', counter, ARGV[3] * 2)
end
return 1
`)

// release ends a claim, and forgets its key for good where nothing came of it.
// KEYS: note, claim, used… ARGV: token, minute, forget
var release = redis.NewScript(payers + `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2])
if ARGV[3] == '1' then
  for _, counter in ipairs(payers()) do
    redis.call('HINCRBY', counter, ARGV[2], -tonumber(redis.call('HGET', KEYS[1], 'size') or '0'))
  end
  redis.call('DEL', KEYS[1])
end
return 1
`)

// Claim takes a key for a request with this digest. Where it is a new one,
// note is kept from now on: what a retry must know even if this attempt dies; size is
// how many bytes the note is going to have.
func (s *Store) Claim(ctx context.Context, key Key, digest, note []byte, size int) (c Claimed, err error) {
	token := rand.Text()
	held, err := claim.Run(ctx, s.client, s.names(key), digest, token, s.lease.Milliseconds(), s.keep.Milliseconds(), note,
		len(digest)+size, s.minute(), int64(s.keep/time.Minute), s.maxAccount, s.maxScope).Slice()
	if err != nil {
		return c, fmt.Errorf("claiming an idempotency key: %w", err)
	}
	state, _ := held[0].(string)
	if len(held) > 1 {
		text, _ := held[1].(string)
		c.Note = []byte(text)
	}
	switch state {
	case "taken":
		c.Token = token
	case "other":
		c.Other = true
	case "whole":
		c.Whole = true
	case "full":
		c.Full = true
	}
	return c, nil
}

// Keep ends a claim with a note in place of the one before; whole: nothing is left to
// be done for the request.
func (s *Store) Keep(ctx context.Context, key Key, token string, digest, note []byte, whole bool) error {
	if len(note) > maxNote {
		return fmt.Errorf("keeping what became of a request: its note of %d bytes exceeds the %d-byte limit", len(note), maxNote)
	}
	err := keep.Run(ctx, s.client, s.names(key), digest, token, s.keep.Milliseconds(), note, len(digest)+len(note), s.minute(), flag(whole)).Err()
	if err != nil {
		return fmt.Errorf("keeping what became of a request: %w", err)
	}
	return nil
}

// Release ends a claim; forget: as if the key had never been claimed.
func (s *Store) Release(ctx context.Context, key Key, token string, forget bool) error {
	if err := release.Run(ctx, s.client, s.names(key), token, s.minute(), flag(forget)).Err(); err != nil {
		return fmt.Errorf("releasing an idempotency key: %w", err)
	}
	return nil
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func (s *Store) minute() int64 { return s.now().Unix() / 60 }

// names are the Redis keys of one: note, claim, what is used of its account and, where
// the scope has several, of that. They are of one length, whatever a client sends, and
// of one slot of a cluster.
func (s *Store) names(k Key) []string {
	ofScope, ofKey := sha256.Sum256([]byte(k.Scope)), sha256.Sum256([]byte(k.Scope+"\x00"+k.Key))
	begin := s.begin + "{" + hex.EncodeToString(ofScope[:8]) + "}:"
	note := begin + hex.EncodeToString(ofKey[:16])
	names, used := []string{note, note + ":claim"}, begin+"used"
	if k.Account == "" {
		return append(names, used)
	}
	ofAccount := sha256.Sum256([]byte(k.Account))
	return append(names, used+":"+hex.EncodeToString(ofAccount[:8]), used)
}
