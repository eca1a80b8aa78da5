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
		time.Sleep(time.Second + agingStep)
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

// However fast they come, the newest are there: whoever looks for a decision just
// made finds it.
func TestTheEmbeddedRedisKeepsTheNewest(t *testing.T) {
	for _, every := range []time.Duration{time.Millisecond, 100 * time.Microsecond} { // 1,000 and 10,000 a second
		synctest.Test(t, func(t *testing.T) {
			const most = 10_000
			r := &Redis{miniredis.NewMiniRedis()}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go r.Age(ctx, most)
			for i := range 30_000 {
				key := fmt.Sprint("key-", i)
				require.NoError(t, r.server.Set(key, "x"))
				r.server.SetTTL(key, 5*time.Minute)
				time.Sleep(every)
				if newest := i - most/2; newest >= 0 && i%1000 == 0 {
					synctest.Wait()
					require.True(t, r.server.Exists(fmt.Sprint("key-", newest)), "%d of %d", newest, i)
					require.Less(t, len(r.server.Keys()), 2*most)
				}
			}
		})
	}
}

func TestTheEmbeddedRedisForgetsKeysThatAreGone(t *testing.T) {
	r := &Redis{miniredis.NewMiniRedis()}
	for i := range 100 {
		key := fmt.Sprint("key-", i)
		require.NoError(t, r.server.Set(key, "x"))
		require.True(t, r.server.Del(key))
	}
	require.Equal(t, 100, versionsOf(r.server.DB(0)).Len(), "of every key there ever was")
	r.age(time.Second, 1000)
	require.Zero(t, versionsOf(r.server.DB(0)).Len())
	require.NoError(t, r.server.Set("key", "x"))
}
