package app

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
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	var specs []kafka.TopicSpec
	for _, one := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: one.Name, Partitions: 1, Replication: 1, Configs: one.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), specs)
	require.NoError(t, err)
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
		c := newTopicsCheck(config, slog.New(slog.NewTextHandler(log, nil)), names)
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
	flags := " --brokers " + broker.Addr() + " --prefix t"
	require.ErrorContains(t, err, "creditstream topics apply --update"+flags+", and look")
	require.ErrorContains(t, err, "creditstream model history"+flags)
	set("t.routes", "retention.ms", "-1")

	set("t.drift.panes", "cleanup.policy", "compact")
	_, err = check()
	require.ErrorContains(t, err, "topic t.drift.panes: cleanup.policy")
	require.ErrorContains(t, err, "lost already: creditstream drift status"+flags)
	require.NotContains(t, err.Error(), "model history")
}

// Settings that could not be looked at for want of topics are no matter of grants.
func TestTopicsCheck_SaysThatTopicsDoNotExist(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	log := &capture.Output{}
	config := kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t", ClientID: "test"}
	c := newTopicsCheck(config, slog.New(slog.NewTextHandler(log, nil)), []string{"t.routes", "t.models"})
	require.NoError(t, c.look(t.Context()))
	require.Contains(t, log.String(), `they do not exist" topics="[t.models t.routes]" run="creditstream topics apply --brokers `+broker.Addr()+` --prefix t"`)
	require.NotContains(t, log.String(), "DESCRIBE_CONFIGS")
}
