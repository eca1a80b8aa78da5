package idempotency

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/local"
)

// world is a store whose clock the test moves, and its Redis.
type world struct {
	*Store
	t      *testing.T
	server *local.Redis
	at     time.Time
}

func newWorld(t *testing.T) *world {
	server, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	w := &world{NewStore(client, "t", 10*time.Second, 10*time.Minute), t, server, time.Unix(60_000, 0)}
	w.now = func() time.Time { return w.at }
	return w
}

func (w *world) pass(d time.Duration) {
	w.at = w.at.Add(d)
	w.server.Server().FastForward(d)
}

// shop is a key of a scope with one account.
func shop(key string) Key { return Key{Scope: "shop", Key: key} }

func (w *world) claim(key, digest string) Claimed {
	c, err := w.Claim(w.t.Context(), shop(key), []byte(digest), []byte("begun"), 100)
	require.NoError(w.t, err)
	return c
}

func (w *world) kept(key, token, digest, note string, whole bool) {
	require.NoError(w.t, w.Keep(w.t.Context(), shop(key), token, []byte(digest), []byte(note), whole))
}

// used is how many bytes count for the scope.
func (w *world) used() (sum int) {
	for _, field := range []int{-2, -1, 0} {
		n := 0
		_, _ = fmt.Sscan(w.server.Server().HGet(w.names(shop(""))[2], fmt.Sprint(w.minute()+int64(field))), &n)
		sum += n
	}
	return sum
}

func TestStore_KeepsWhatBecameOfARequest(t *testing.T) {
	w := newWorld(t)
	first := w.claim("k", "digest")
	require.NotEmpty(t, first.Token)
	require.Nil(t, first.Note)
	require.Equal(t, Claimed{}, w.claim("k", "digest"), "in progress")
	require.Equal(t, Claimed{Other: true}, w.claim("k", "other"))

	w.kept("k", first.Token, "digest", "note\x00\xff", true)
	require.Equal(t, Claimed{Whole: true, Note: []byte("note\x00\xff")}, w.claim("k", "digest"))
	require.Equal(t, Claimed{Other: true}, w.claim("k", "other"))
	w.pass(9 * time.Minute)
	require.True(t, w.claim("k", "digest").Whole, "longer than the lease")
	w.pass(2 * time.Minute)
	again := w.claim("k", "other")
	require.NotEmpty(t, again.Token, "forgotten")
	require.Nil(t, again.Note)
}

// What is left to be done is one retry's, which knows what was done.
func TestStore_APartIsGoneOnWith(t *testing.T) {
	w := newWorld(t)
	w.kept("k", w.claim("k", "d").Token, "d", "half", false)
	second := w.claim("k", "d")
	require.NotEmpty(t, second.Token)
	require.Equal(t, "half", string(second.Note))
	require.Equal(t, Claimed{}, w.claim("k", "d"), "in progress")
	require.Equal(t, Claimed{Other: true}, w.claim("k", "other"), "the key stays this request's")
	require.NoError(t, w.Release(t.Context(), shop("k"), second.Token, false))
	third := w.claim("k", "d")
	require.Equal(t, "half", string(third.Note), "nothing came of the second")
	w.kept("k", third.Token, "d", "all", true)
	require.Equal(t, Claimed{Whole: true, Note: []byte("all")}, w.claim("k", "d"))
}

func TestStore_ALapsedClaimLeavesItsFirstNote(t *testing.T) {
	w := newWorld(t)
	first := w.claim("k", "d")
	w.pass(11 * time.Second)
	second := w.claim("k", "d")
	require.NotEmpty(t, second.Token, "its holder died")
	require.Equal(t, "begun", string(second.Note))

	// A holder that was only slow changes nothing of the new claim.
	require.NoError(t, w.Release(t.Context(), shop("k"), first.Token, true))
	w.kept("k", first.Token, "d", "first", true)
	require.Equal(t, Claimed{}, w.claim("k", "d"))
	w.kept("k", second.Token, "d", "second", true)
	w.kept("k", first.Token, "d", "first", true)
	require.Equal(t, "second", string(w.claim("k", "d").Note))

	// One that nobody has taken over still counts.
	slow := w.claim("slow", "d")
	w.pass(11 * time.Second)
	w.kept("slow", slow.Token, "d", "late", true)
	require.Equal(t, "late", string(w.claim("slow", "d").Note))

	// So does one whose Redis was emptied.
	lost := w.claim("lost", "d")
	w.server.Server().FlushAll()
	w.kept("lost", lost.Token, "d", "kept", true)
	require.Equal(t, "kept", string(w.claim("lost", "d").Note))
}

func TestStore_AForgottenKeyIsFree(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.Release(t.Context(), shop("k"), w.claim("k", "d").Token, true))
	c := w.claim("k", "another")
	require.NotEmpty(t, c.Token)
	require.Nil(t, c.Note)
}

func TestStore_BoundsWhatAScopeKeeps(t *testing.T) {
	w := newWorld(t)
	w.maxAccount = 1000
	full := func(scope, key string, size int) bool {
		c, err := w.Claim(t.Context(), Key{Scope: scope, Key: key}, []byte("d"), nil, size)
		require.NoError(t, err)
		require.NotEqual(t, c.Full, c.Token != "")
		return c.Full
	}
	first := w.claim("first", "d") // 101
	require.False(t, full("shop", "k", 800))
	require.Equal(t, 902, w.used())
	require.True(t, full("shop", "another", 98))
	require.False(t, full("bank", "another", 98), "another caller's are its own")
	w.kept("first", first.Token, "d", "12345", true)
	require.Equal(t, 902-101+6, w.used(), "what it came to")
	w.pass(time.Minute)
	require.True(t, full("shop", "another", 193))
	require.False(t, full("shop", "another", 192))
	require.True(t, w.claim("first", "d").Whole, "what is kept is answered")
	w.pass(10 * time.Minute)
	require.True(t, full("shop", "another again", 900), "one is kept still")
	require.False(t, full("shop", "another again", 700), "the others are forgotten")

	token := w.claim("released", "d").Token
	before := w.used()
	require.NoError(t, w.Release(t.Context(), shop("released"), token, true))
	require.Equal(t, before-101, w.used())

	err := w.Keep(t.Context(), shop("k"), "token", []byte("d"), bytes.Repeat([]byte{1}, maxNote+1), true)
	require.ErrorContains(t, err, "65537 bytes exceeds the 65536-byte limit")
}

func TestStore_BoundsWhatAnAccountAndAllOfAScopeKeep(t *testing.T) {
	w := newWorld(t)
	w.maxAccount, w.maxScope = 1000, 2500
	claim := func(account, key string, size int) Claimed {
		c, err := w.Claim(t.Context(), Key{"", account, key}, []byte("d"), nil, size-1)
		require.NoError(t, err)
		return c
	}
	first := claim("one", "a", 1000)
	require.NotEmpty(t, first.Token)
	require.True(t, claim("one", "b", 2).Full)
	require.NotEmpty(t, claim("two", "b", 1000).Token, "another's are its own")
	require.True(t, claim("three", "c", 501).Full, "all together keep too much")
	require.NotEmpty(t, claim("three", "c", 500).Token)
	require.True(t, claim("four", "d", 2).Full)

	require.NoError(t, w.Keep(t.Context(), Key{"", "one", "a"}, first.Token, []byte("d"), []byte("12345"), true))
	require.NotEmpty(t, claim("four", "d", 990).Token, "what is no longer kept counts for neither")
	require.True(t, claim("four", "a", 2).Whole, "a key is the scope's, whoever asks")
	second := claim("one", "e", 2)
	require.NotEmpty(t, second.Token)
	require.True(t, claim("five", "f", 3).Full)
	require.NoError(t, w.Release(t.Context(), Key{"", "one", "e"}, second.Token, true))
	require.NotEmpty(t, claim("five", "f", 3).Token)
	w.pass(11 * time.Minute)
	require.NotEmpty(t, claim("one", "g", 1000).Token, "all are forgotten")
}

// What is kept under a key counts for whoever claimed it first, also where another
// address retries it and ends the claim.
func TestStore_WhatIsKeptCountsForTheFirstAccount(t *testing.T) {
	w := newWorld(t)
	used := func(account string) string {
		return w.server.Server().HGet(w.names(Key{"", account, "k"})[2], fmt.Sprint(w.minute()))
	}
	claim := func(account string) string {
		c, err := w.Claim(t.Context(), Key{"", account, "k"}, []byte("d"), nil, 999)
		require.NoError(t, err)
		require.NotEmpty(t, c.Token)
		return c.Token
	}
	first := claim("home")
	require.Equal(t, "1000", used("home"))
	require.NoError(t, w.Release(t.Context(), Key{"", "home", "k"}, first, false))
	require.NoError(t, w.Keep(t.Context(), Key{"", "roaming", "k"}, claim("roaming"), []byte("d"), []byte("123"), false))
	require.Equal(t, "4", used("home"), "what it came to")
	require.Empty(t, used("roaming"))
	require.NoError(t, w.Release(t.Context(), Key{"", "roaming", "k"}, claim("roaming"), true))
	require.Equal(t, "0", used("home"))
	require.Empty(t, used("roaming"))
	require.Equal(t, "0", w.server.Server().HGet(w.names(Key{"", "home", "k"})[3], fmt.Sprint(w.minute())))
}

func TestStore_ScopesAndKeysAreApart(t *testing.T) {
	w := newWorld(t)
	for _, at := range [][2]string{{"a", "b"}, {"a", "c"}, {"", "ab"}, {"ab", ""}} {
		c, err := w.Claim(t.Context(), Key{Scope: at[0], Key: at[1]}, []byte("d"), nil, 1)
		require.NoError(t, err)
		require.NotEmpty(t, c.Token, at)
	}
}

func TestDeployments_KeepKeysApart(t *testing.T) {
	w := newWorld(t)
	client := redis.NewClient(&redis.Options{Addr: w.server.Addr()})
	defer func() { _ = client.Close() }()
	for _, s := range []*Store{w.Store, NewStore(client, "t2", time.Minute, time.Minute)} {
		c, err := s.Claim(t.Context(), shop("k"), []byte("d"), nil, 1)
		require.NoError(t, err)
		require.NotEmpty(t, c.Token, "answered by another deployment")
	}
	for _, key := range w.server.Server().Keys() {
		require.Regexp(t, "^t2?:idempotency:{", key)
	}
}

func TestStore_OneOfManyClaims(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"new", "partly"} {
		if key == "partly" {
			w.kept(key, w.claim(key, "d").Token, "d", "half", false)
		}
		var (
			wg    sync.WaitGroup
			taken atomic.Int32
		)
		for range 20 {
			wg.Go(func() {
				if c, err := w.Claim(t.Context(), shop(key), []byte("d"), nil, 1); err == nil && c.Token != "" {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, taken.Load(), key)
	}
}

// Everything of a scope is in one slot of a cluster.
func TestStore_NamesAreOfOneSlot(t *testing.T) {
	names := newWorld(t).names(Key{"shop", strings.Repeat("a", 255), strings.Repeat("k", 255)})
	for _, name := range names {
		require.Equal(t, names[2][:len("t:idempotency:{0123456789abcdef}:")], name[:len("t:idempotency:{0123456789abcdef}:")])
		require.Less(t, len(name), 80)
	}
}

func TestStore_RedisAwayIsAnError(t *testing.T) {
	w := newWorld(t)
	w.server.Server().SetError("LOADING Redis is loading the dataset in memory")
	_, err := w.Claim(t.Context(), Key{Key: "k"}, []byte("d"), nil, 1)
	require.ErrorContains(t, err, "claiming an idempotency key")
}
