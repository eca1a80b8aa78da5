package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func TestTopicsAppliedListedAndUpdated(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	on := func(args ...string) (int, string, string) {
		return creditstream(t, append([]string{"topics"}, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)...)
	}
	code, out, _ := on("list")
	require.Equal(t, 1, code)
	require.Equal(t, len(schemas.Catalogue("t")), strings.Count(out, "missing"))

	code, out, stderr := on("apply", "--partitions", "2", "--group-protocol", "consumer")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, len(schemas.Catalogue("t")), strings.Count(out, "created "))
	require.Contains(t, out, "set consumer.session.timeout.ms of group t.scorer to 10000, consumer.heartbeat.interval.ms to 1000")
	code, out, _ = on("list")
	require.Equal(t, 0, code, out)

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("1")}}, "t.predictions")
	require.NoError(t, err)
	code, out, _ = on("list")
	require.Equal(t, 1, code)
	require.Contains(t, out, "retention.ms is 1, expected 69120000000")

	var applied struct {
		Topics []appliedTopic `json:"topics"`
	}
	states := func(args ...string) map[string]string {
		code, out, stderr := on(append([]string{"apply", "--json"}, args...)...)
		require.Equal(t, 0, code, stderr)
		require.NoError(t, json.Unmarshal([]byte(out), &applied))
		states := map[string]string{}
		for _, topic := range applied.Topics {
			states[topic.Topic] = topic.State
		}
		return states
	}
	found := states("--partitions", "3")
	require.Equal(t, "differs", found["t.predictions"])
	require.Equal(t, "differs", found["t.applications"])
	require.Equal(t, "existed", found["t.models"])
	require.Equal(t, "updated", states("--partitions", "3", "--update")["t.predictions"])
	require.Eventually(t, func() bool {
		return states("--partitions", "3")["t.predictions"] == "existed"
	}, time.Minute, time.Millisecond)
	code, out, _ = on("apply", "--json", "--partitions", "1", "--update")
	require.Equal(t, 1, code, "what cannot be mended is no success")
	require.NoError(t, json.Unmarshal([]byte(out), &applied))
	require.Equal(t, "updated", applied.Topics[1].State)
	require.Equal(t, "3", applied.Topics[1].Differences[0].Have, "partitions are not removed, and it says so")

	// Somebody else's settings, by which routes go.
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("60000")}}, "t.routes")
	require.NoError(t, err)
	code, out, _ = on("apply", "--partitions", "3")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "models or routes are lost by it")
	code, out, _ = on("apply", "--partitions", "3", "--update")
	require.Equal(t, 0, code, out)
}

func TestOneShotCommandsNameTheBrokers(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	address := broker.Addr()
	broker.Close()
	code, _, stderr := creditstream(t, "topics", "list", "--brokers", address)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no Kafka broker answers at --brokers "+address)
}

func TestACLsOfOnePrincipal(t *testing.T) {
	t.Parallel()
	code, out, _ := creditstream(t, "topics", "acls", "--principal", "scorer", "--prefix", "p", "--group", "g")
	require.Equal(t, 0, code)
	require.Contains(t, out, "--operation Write --topic 'p.applications.dlq'")
	require.Contains(t, out, "--operation Read --group 'g'")
	require.Contains(t, out, "--operation Write --transactional-id 'p-g-' --resource-pattern-type prefixed")
	require.NotContains(t, out, "User:reader")
	_, out, _ = creditstream(t, "topics", "acls", "--principal", "operator")
	require.Contains(t, out, "--operation Describe --operation DescribeConfigs --operation AlterConfigs --group 'credit.scorer'")
	require.NotContains(t, out, "--command-config")
	code, out, _ = creditstream(t, "topics", "acls", "--principal", "scorer", "--brokers", "k:9093", "--command-config", "/etc/admin.properties")
	require.Equal(t, 0, code)
	require.Contains(t, out, "kafka-acls.sh --bootstrap-server k:9093 --command-config '/etc/admin.properties' --add --allow-principal User:scorer ")
	code, _, stderr := creditstream(t, "topics", "acls", "--principal", "nobody")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "expected scorer, producer, view, api, drift, releaser, operator or reader")
	code, out, _ = creditstream(t, "topics", "acls", "--json")
	require.Equal(t, 0, code)
	var principals []schemas.Principal
	require.NoError(t, json.Unmarshal([]byte(out), &principals))
	require.Len(t, principals, 8)
}

func TestStaticMembershipIsClassic(t *testing.T) {
	t.Parallel()
	code, _, stderr := creditstream(t, "score", "--static", "--group-protocol", "consumer", "--model", "shipped")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--static needs --group-protocol classic")
}
