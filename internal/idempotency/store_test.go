package idempotency

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/local"
)

func newStore(t *testing.T) (*Store, *local.Redis) {
	server, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return NewStore(client, "t", 10*time.Second, 10*time.Minute), server
}

func TestAnswerIsKeptForTheRetry(t *testing.T) {
	s, server := newStore(t)
	token, _, _, err := s.Claim(t.Context(), "shop", "k", []byte("digest"))
	require.NoError(t, err)
	require.NotEmpty(t, token)

	again, digest, answer, err := s.Claim(t.Context(), "shop", "k", []byte("other"))
	require.NoError(t, err)
	require.Empty(t, again)
	require.Equal(t, "digest", string(digest))
	require.Nil(t, answer, "in progress")

	require.NoError(t, s.Complete(t.Context(), "shop", "k", token, []byte("digest"), []byte("answer\x00\xff")))
	again, digest, answer, err = s.Claim(t.Context(), "shop", "k", []byte("digest"))
	require.NoError(t, err)
	require.Empty(t, again)
	require.Equal(t, "digest", string(digest))
	require.Equal(t, "answer\x00\xff", string(answer))

	server.Server().FastForward(9 * time.Minute)
	again, _, _, err = s.Claim(t.Context(), "shop", "k", []byte("digest"))
	require.NoError(t, err)
	require.Empty(t, again, "longer than the lease")
	server.Server().FastForward(2 * time.Minute)
	again, _, _, err = s.Claim(t.Context(), "shop", "k", []byte("digest"))
	require.NoError(t, err)
	require.NotEmpty(t, again, "forgotten")
}

func TestScopesAndKeysAreApart(t *testing.T) {
	s, _ := newStore(t)
	for _, at := range [][2]string{{"a", "b"}, {"a", "c"}, {"", "ab"}, {"ab", ""}} {
		token, _, _, err := s.Claim(t.Context(), at[0], at[1], []byte("d"))
		require.NoError(t, err)
		require.NotEmpty(t, token, at)
	}
}

func TestDeployments_KeepKeysApart(t *testing.T) {
	s, server := newStore(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()
	for _, s := range []*Store{s, NewStore(client, "t2", time.Minute, time.Minute)} {
		token, _, _, err := s.Claim(t.Context(), "shop", "k", []byte("d"))
		require.NoError(t, err)
		require.NotEmpty(t, token, "answered by another deployment")
	}
	keys := server.Server().Keys()
	require.Len(t, keys, 2)
	require.Regexp(t, "^t2?:idempotency:", keys[0])
}

func TestLapsedClaim(t *testing.T) {
	s, server := newStore(t)
	first, _, _, err := s.Claim(t.Context(), "", "k", []byte("d"))
	require.NoError(t, err)
	server.Server().FastForward(11 * time.Second)
	second, _, _, err := s.Claim(t.Context(), "", "k", []byte("d"))
	require.NoError(t, err)
	require.NotEmpty(t, second, "its holder died")

	// A holder that was only slow changes nothing of the new claim.
	require.NoError(t, s.Release(t.Context(), "", "k", first))
	require.NoError(t, s.Complete(t.Context(), "", "k", first, []byte("d"), []byte("first")))
	_, _, answer, err := s.Claim(t.Context(), "", "k", []byte("d"))
	require.NoError(t, err)
	require.Nil(t, answer)
	require.NoError(t, s.Complete(t.Context(), "", "k", second, []byte("d"), []byte("second")))
	require.NoError(t, s.Complete(t.Context(), "", "k", first, []byte("d"), []byte("first")))
	_, _, answer, err = s.Claim(t.Context(), "", "k", []byte("d"))
	require.NoError(t, err)
	require.Equal(t, "second", string(answer))

	// One that nobody has taken over still counts.
	slow, _, _, err := s.Claim(t.Context(), "", "slow", []byte("d"))
	require.NoError(t, err)
	server.Server().FastForward(11 * time.Second)
	require.NoError(t, s.Complete(t.Context(), "", "slow", slow, []byte("d"), []byte("late")))
	_, _, answer, err = s.Claim(t.Context(), "", "slow", []byte("d"))
	require.NoError(t, err)
	require.Equal(t, "late", string(answer))
}

func TestReleasedKeyIsFree(t *testing.T) {
	s, _ := newStore(t)
	token, _, _, err := s.Claim(t.Context(), "", "k", []byte("d"))
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), "", "k", token))
	token, _, _, err = s.Claim(t.Context(), "", "k", []byte("another"))
	require.NoError(t, err)
	require.NotEmpty(t, token)
}

func TestOneOfManyClaims(t *testing.T) {
	s, _ := newStore(t)
	var (
		wg    sync.WaitGroup
		taken atomic.Int32
	)
	for range 20 {
		wg.Go(func() {
			if token, _, _, err := s.Claim(t.Context(), "", "k", []byte("d")); err == nil && token != "" {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, taken.Load())
}

func TestRedisAwayIsAnError(t *testing.T) {
	s, server := newStore(t)
	server.Server().SetError("LOADING Redis is loading the dataset in memory")
	_, _, _, err := s.Claim(t.Context(), "", "k", []byte("d"))
	require.ErrorContains(t, err, "claiming an idempotency key")
}
