package cli

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/local"
)

// What Redis will answer again, however often it is asked, ends a command that is run once.
func TestOnce_EndsWhereRedisHasNotWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	broker := brokerWithTopics(t)
	for answer, look := range map[string]string{
		"ERR DB index is out of range":                "Redis has no database of this number",
		"ERR SELECT is not allowed in cluster mode":   "Redis is a cluster",
		"NOAUTH Authentication required.":             "Redis asks for a login",
		"NOPERM this user has no permissions to run ": "Redis does not allow this user",
	} {
		redis, err := local.StartRedis()
		require.NoError(t, err)
		redis.Server().Server().SetPreHook(func(peer *server.Peer, command string, _ ...string) bool {
			if !strings.EqualFold(command, "SELECT") {
				return false
			}
			peer.WriteError(answer)
			return true
		})
		address := redis.Addr() + "/99"
		for _, command := range [][]string{
			{"view", "--brokers", broker, "--rebuild"}, {"view", "--brokers", broker, "--remove-unprefixed"}, {"erase", "A-1"},
		} {
			code, _, errs := creditstream(t, append(command, "--redis", "redis://"+address)...)
			require.Equal(t, 1, code, errs)
			require.Contains(t, errs, "--redis "+address+": "+look)
			require.NotContains(t, errs, "retrying")
		}
		redis.Close()
	}
}
