package view

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// slow is a Redis that answers no pipeline of many keys in time.
type slow struct {
	redis.Hook
	most int   // predictions it writes at once
	asks []int // how many were to be written, by round trip
}

func (s *slow) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (s *slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (s *slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		keys := 0
		for _, c := range commands {
			if args := c.Args(); args[1] == writePredictionsLua {
				keys += args[2].(int)
			}
		}
		if keys > 0 { // a connection begins with a pipeline of its own
			s.asks = append(s.asks, keys)
		}
		if keys > s.most {
			return &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
		}
		return next(ctx, commands)
	}
}

func TestPace_ComesDownToWhatRedisAnswersInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := &slow{most: 300}
	w.rdb.AddHook(redis)
	var entries []Entry
	for i := range 1000 {
		entries = append(entries, Entry{ID: fmt.Sprintf("A-%d", i), Value: []byte("{}"), PredictionExpires: time.Now().Add(time.Hour)})
	}
	o := &outage{log: w.config.Log, errors: prometheus.NewCounter(prometheus.CounterOpts{Name: "t"})}
	var p pace
	wrote, err := p.write(t.Context(), o, NewStore(w.rdb, "t"), entries)
	require.NoError(t, err)
	require.Equal(t, Written{Written: 1000}, wrote)
	require.Equal(t, []int{1000, 500, 250, 281, 316, 158, 177, 134}, redis.asks)
	require.NoError(t, o.current())

	// It goes up again, and is without a bound where Redis keeps up.
	redis.most = maxBatch
	p, redis.asks = pace{entries: 3_500}, nil
	for range 3 {
		_, err := p.write(t.Context(), o, NewStore(w.rdb, "t"), entries)
		require.NoError(t, err)
	}
	require.Equal(t, []int{1000, 1000, 1000}, redis.asks)
	require.Zero(t, p.entries)

	// Whatever else goes wrong says nothing of how much was asked for.
	p = pace{entries: 250}
	require.NoError(t, w.rdb.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 3*firstPause)
	defer cancel()
	_, err = p.write(ctx, o, NewStore(w.rdb, "t"), entries)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, pace{entries: 250}, p)
}
