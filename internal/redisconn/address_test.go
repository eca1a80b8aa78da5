package redisconn

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
)

func TestAddress_IsHostAndPortOrAURL(t *testing.T) {
	f := func(text string, want Address) {
		t.Helper()
		got, err := ParseAddress(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("127.0.0.1:6379", Address{Servers: []string{"127.0.0.1:6379"}})
	f("[::1]:1", Address{Servers: []string{"[::1]:1"}})
	f("redis://h", Address{Servers: []string{"h:6379"}})
	f("redis://[::1]/0", Address{Servers: []string{"[::1]:6379"}})
	f("redis://h:1/15", Address{Servers: []string{"h:1"}, DB: 15})
	f("rediss://ann%40x@h:1/", Address{Servers: []string{"h:1"}, User: "ann@x", TLS: true})
	f("redis+cluster://a:1,b:2", Address{Servers: []string{"a:1", "b:2"}, Cluster: true})
	f("rediss+cluster://ann@a", Address{Servers: []string{"a:6379"}, Cluster: true, User: "ann", TLS: true})
}

func TestAddress_RefusesWhatItIsNotAndRepeatsNoPassword(t *testing.T) {
	f := func(text, says string) {
		t.Helper()
		_, err := ParseAddress(text)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "Xq7")
	}
	f("h", `server "h": expected HOST:PORT`)
	f(":6379", "expected HOST:PORT")
	f("h:0", "1 … 65535")
	f("h:65536", "1 … 65535")
	f("h:redis", "1 … 65535")
	f("redis://", "expected HOST:PORT")
	f("redis://h:", "expected HOST:PORT")
	f("redis://h:1,", "expected HOST:PORT")
	f("redis://a:1,b:2", "expected one, or redis+cluster://")
	f("redis://h:1/-1", `database "-1": expected a number`)
	f("redis://h:1/99999", "expected a number")
	f("redis+cluster://h:1/1", "a cluster has only one")
	f("http://h:1", "unknown scheme")
	f("unix:///tmp/redis.sock", "unknown scheme")
	f("redis://@h:1", "expected a user's name")
	for _, text := range []string{"redis://:Xq7@h:1", "redis://ann:Xq7@h:1/2", "redis://ann:Xq7@@h", "rediss+cluster://ann:Xq7@a:1,b:2"} {
		f(text, "CREDITSTREAM_REDIS_PASSWORD")
	}
	f("ann:Xq7@h:1", "expected HOST:PORT, redis://")
	f("redis://h:1?password=Xq7", "no parameters")
}

func TestAddress_NamesADatabase(t *testing.T) {
	s := miniredis.RunT(t)
	for text, db := range map[string]int{s.Addr(): 0, "redis://" + s.Addr() + "/3": 3} {
		a, err := ParseAddress(text)
		require.NoError(t, err)
		c := Config{Address: a}.Open()
		require.NoError(t, c.Set(t.Context(), "k", text, 0).Err())
		require.NoError(t, c.Close())
		got, err := s.DB(db).Get("k")
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
}
