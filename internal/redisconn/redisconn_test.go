package redisconn

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestAPasswordIsReadByEveryConnection(t *testing.T) {
	s := miniredis.RunT(t)
	s.RequireUserAuth("ann", "first")
	password := "first"
	c := Config{Address: Address{Servers: []string{s.Addr()}, User: "ann"}, Password: func(context.Context) (string, error) { return password, nil }}.Open()
	defer func() { _ = c.Close() }()
	require.NoError(t, c.Ping(t.Context()).Err())

	s.RequireUserAuth("ann", "second")
	s.Close()
	require.NoError(t, s.Restart())
	err := c.Ping(t.Context()).Err()
	require.True(t, Refused(err), "%v", err)
	require.ErrorContains(t, Explain(err), "look at --redis-user and its password (CREDITSTREAM_REDIS_PASSWORD or --redis-password-file)")
	require.NotContains(t, Explain(err).Error(), "first")
	password = "second"
	require.NoError(t, c.Ping(t.Context()).Err())

	bare := Config{Address: Address{Servers: []string{s.Addr()}}}.Open()
	defer func() { _ = bare.Close() }()
	err = bare.Ping(t.Context()).Err()
	require.True(t, Refused(err), "%v", err)
	require.ErrorContains(t, Explain(err), "Redis asks for a login")
}

func TestWhatIsNotARefusal(t *testing.T) {
	for _, err := range []error{nil, errors.New("NOPERM"), redis.Nil, context.Canceled} {
		require.False(t, Refused(err))
		require.Equal(t, err, Explain(err))
	}
}
