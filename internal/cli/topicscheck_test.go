package cli

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func TestTopicsCheck_RefusesSettingsThatLoseStateAndWarnsOfOthers(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	code, _, errs := onCommandLine(t, "topics", "apply", "--brokers", broker.Addr(), "--prefix", "t")
	require.Zero(t, code, errs)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	set := func(topic, name, value string) {
		_, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: name, Value: kadm.StringPtr(value)}}, topic)
		require.NoError(t, err)
	}
	var names []string
	for _, one := range schemas.Catalogue("t") {
		names = append(names, one.Name)
	}
	check := func() (string, error) {
		log := &capture.Output{}
		config := kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test", Log: slog.New(slog.DiscardHandler)}
		c := newTopicsCheck(config, "t", slog.New(slog.NewTextHandler(log, nil)), names)
		require.Error(t, c.Ready())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		for c.Ready() != nil {
			select {
			case err := <-done:
				return log.String(), err
			case <-time.After(time.Millisecond):
			}
		}
		stop()
		return log.String(), <-done
	}
	said, err := check()
	require.NoError(t, err)
	require.Empty(t, said)

	set("t.predictions", "message.timestamp.type", "CreateTime")
	said, err = check()
	require.NoError(t, err)
	require.Contains(t, said, "topic=t.predictions setting=message.timestamp.type have=CreateTime want=LogAppendTime")

	set("t.routes", "retention.ms", "60000")
	_, err = check()
	require.ErrorContains(t, err, `topic t.routes: retention.ms is "60000", expected "-1"`)
	require.ErrorContains(t, err, "creditstream topics apply --update")

	// Nothing is written where it would be lost.
	for _, args := range [][]string{
		{"model", "release", "shipped"}, {"model", "route", "--champion", "v1", "--why", "x"}, {"model", "rollback", "--why", "x", "--expect", "0"},
	} {
		code, _, errs = onCommandLine(t, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)
		require.Equal(t, 1, code, args)
		require.Contains(t, errs, "topic t.routes: retention.ms", args)
	}

	// The whole component ends, too, and says so.
	code, _, errs = onCommandLine(t, "score", "--brokers", broker.Addr(), "--prefix", "t", "--model", "shipped", "--instance", "one")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "topic t.routes: retention.ms")

	// And nothing else: that the others were stopped for it is not their failure, and
	// nobody was ever answered.
	for _, args := range [][]string{
		{"score", "--instance", "one"}, {"drift"}, {"api", "--api-listen", "127.0.0.1:0", "--redis", "127.0.0.1:1"},
	} {
		code, _, errs = onCommandLine(t, append(args, "--brokers", broker.Addr(), "--prefix", "t", "--model", "shipped")...)
		require.Equal(t, 1, code, args)
		require.Contains(t, errs, "topic t.routes: retention.ms", args)
		for _, odd := range []string{"cannot start yet", "context canceled", "the API answers"} {
			require.NotContains(t, errs, odd, args)
		}
	}
}
