package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
)

func TestCommands_RefuseTopicsThatLoseState(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	code, _, errs := creditstream(t, "topics", "apply", "--brokers", broker.Addr(), "--prefix", "t")
	require.Zero(t, code, errs)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	set := func(topic, name, value string) {
		_, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: name, Value: kadm.StringPtr(value)}}, topic)
		require.NoError(t, err)
	}
	set("t.routes", "retention.ms", "60000")

	// Nothing is written where it would be lost.
	for _, args := range [][]string{
		{"model", "release", "shipped"}, {"model", "route", "--champion", "v1", "--why", "x"}, {"model", "rollback", "--why", "x", "--expect", "0"},
	} {
		code, _, errs = creditstream(t, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)
		require.Equal(t, 1, code, args)
		require.Contains(t, errs, "topic t.routes: retention.ms", args)
	}

	// The whole component ends, too, and says so.
	code, _, errs = creditstream(t, "score", "--brokers", broker.Addr(), "--prefix", "t", "--model", "shipped", "--instance", "one")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "topic t.routes: retention.ms")

	// And nothing else: that the others were stopped for it is not their failure, and
	// nobody was ever answered.
	for _, args := range [][]string{
		{"score", "--instance", "one"}, {"drift"}, {"api", "--api-listen", "127.0.0.1:0", "--redis", "127.0.0.1:1"},
	} {
		code, _, errs = creditstream(t, append(args, "--brokers", broker.Addr(), "--prefix", "t", "--model", "shipped")...)
		require.Equal(t, 1, code, args)
		require.Contains(t, errs, "topic t.routes: retention.ms", args)
		for _, odd := range []string{"cannot start yet", "context canceled", "the API answers"} {
			require.NotContains(t, errs, odd, args)
		}
	}
}
