package local

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
)

func TestKeysOfTheEmbeddedRedisExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Redis{miniredis.NewMiniRedis()}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Age(ctx, 1000)
		set := func(key string, ttl time.Duration) {
			require.NoError(t, r.server.Set(key, "x"))
			r.server.SetTTL(key, ttl)
		}
		require.NoError(t, r.server.Set("for-ever", "x"))
		set("minute", time.Minute)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		require.True(t, r.server.Exists("minute"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.False(t, r.server.Exists("minute"))

		// Too many: those that would go first go early.
		for i := range 1500 {
			set(fmt.Sprint("short-", i), time.Minute)
		}
		for i := range 500 {
			set(fmt.Sprint("long-", i), 6*time.Hour)
		}
		time.Sleep(agingStep)
		synctest.Wait()
		require.False(t, r.server.Exists("short-0"))
		require.True(t, r.server.Exists("long-0"))
		require.True(t, r.server.Exists("for-ever"))
	})
}

func TestTheEmbeddedRedisForgetsKeysThatAreGone(t *testing.T) {
	r := &Redis{miniredis.NewMiniRedis()}
	for i := range 100 {
		key := fmt.Sprint("key-", i)
		require.NoError(t, r.server.Set(key, "x"))
		require.True(t, r.server.Del(key))
	}
	require.Equal(t, 100, versionsOf(r.server.DB(0)).Len(), "of every key there ever was")
	r.age(1000)
	require.Zero(t, versionsOf(r.server.DB(0)).Len())
	require.NoError(t, r.server.Set("key", "x"))
}
