package kafka

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func start(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, Config) {
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster, Config{Brokers: cluster.ListenAddrs(), ClientID: "test"}
}

func connect(t *testing.T, c Config) *kgo.Client {
	client, err := c.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func TestBrokersThatDoNotAnswerAreNamed(t *testing.T) {
	cluster, config := start(t)
	cluster.Close()
	_, err := config.Connect(t.Context())
	require.ErrorContains(t, err, "no Kafka broker answers at --brokers "+config.Brokers[0])
}

// That no broker of --brokers takes a connection is the error of whoever asked.
func TestClientLog_LeavesSeedsToWhoeverAsked(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newClientLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.Log(kgo.LogLevelWarn, cannotOpen, "addr", "a:1", "broker", "seed_0", "err", "refused")
	require.Empty(t, out.String())
	l.Log(kgo.LogLevelWarn, cannotOpen, "addr", "a:1", "broker", "3", "err", "refused")
	require.Contains(t, out.String(), "broker=3")
}

func TestTheClientWarnsInTheProcessLogOnceInAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newClientLog(slog.New(slog.NewTextHandler(&out, nil)))
		require.Equal(t, kgo.LogLevelWarn, l.Level())
		l.Log(kgo.LogLevelWarn, "connection lost", "broker", 1)
		l.Log(kgo.LogLevelError, "worse")
		require.Contains(t, out.String(), `level=WARN msg="kafka client: connection lost" broker=1`)
		require.Contains(t, out.String(), "level=ERROR")
		l.Log(kgo.LogLevelWarn, "connection lost", "broker", 2)
		require.NotContains(t, out.String(), "broker=2")
		time.Sleep(sayAgain)
		l.Log(kgo.LogLevelWarn, "connection lost", "broker", 3)
		require.Contains(t, out.String(), "broker=3")
		out.Reset()
		l.Log(kgo.LogLevelError, "batch decompresses larger than MaxDecompressBatchBytes, stopping consuming the partition; skip the batch with SetOffsets")
		require.Empty(t, out.String(), "whoever reads has words of its own")
	})
}

var spec = TopicSpec{Name: "t", Partitions: 3, Replication: 1, Configs: map[string]string{"retention.ms": "1000", "cleanup.policy": "delete"}}

func TestTopicsAreCreatedOnce(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	adm := kadm.NewClient(connect(t, config))
	created, err := CreateTopics(t.Context(), adm, []TopicSpec{spec})
	require.NoError(t, err)
	require.Equal(t, []string{"t"}, created)
	created, err = CreateTopics(t.Context(), adm, []TopicSpec{spec})
	require.NoError(t, err)
	require.Empty(t, created)
	states, err := DescribeTopics(t.Context(), adm, "t", "u")
	require.NoError(t, err)
	require.Len(t, states, 1)
	require.Empty(t, states["t"].Differences(spec))
	require.Equal(t, int32(3), states["t"].Partitions)
}

func TestDifferencesAreFoundAndSet(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	client := connect(t, config)
	adm := kadm.NewClient(client)
	_, err := CreateTopics(t.Context(), adm, []TopicSpec{spec})
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr())

	want := TopicSpec{Name: "t", Partitions: 5, Replication: 2, Configs: map[string]string{"retention.ms": "2000", "cleanup.policy": "delete"}}
	state := func() TopicState {
		states, err := DescribeTopics(t.Context(), adm, "t")
		require.NoError(t, err)
		return states["t"]
	}
	before := state()
	require.Equal(t, int64(1), before.End-before.First)
	require.Positive(t, before.Bytes)
	require.Equal(t, []Difference{{"partitions", "3", "5"}, {"replication", "1", "2"}, {"retention.ms", "1000", "2000"}}, before.Differences(want))
	require.Equal(t, "retention.ms is 1000, expected 2000", before.Differences(want)[2].String())
	left, err := UpdateTopic(t.Context(), adm, want, before)
	require.NoError(t, err)
	require.Equal(t, []Difference{{"replication", "1", "2"}}, left)
	require.Eventually(t, func() bool { return len(state().Differences(want)) == 1 }, time.Minute, time.Millisecond)

	// Partitions are never removed.
	want.Partitions = 2
	left, err = UpdateTopic(t.Context(), adm, want, state())
	require.NoError(t, err)
	require.Equal(t, []Difference{{"partitions", "5", "2"}, {"replication", "1", "2"}}, left)
	require.Equal(t, int32(5), state().Partitions)
}

// A topic is created before every broker knows of it.
func TestATopicJustCreatedIsWaitedFor(t *testing.T) {
	t.Parallel()
	cluster, config := start(t)
	adm := kadm.NewClient(connect(t, config))
	other := kadm.NewClient(connect(t, config))
	asked := make(chan struct{})
	var once sync.Once
	cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(asked) })
		return nil, nil, false
	})
	go func() {
		<-asked
		_, _ = other.CreateTopic(context.Background(), 1, 1, nil, "t")
	}()
	require.NoError(t, RequireTopics(t.Context(), adm, "t"))
	err := RequireTopics(t.Context(), adm, "t", "v", "u")
	require.ErrorContains(t, err, "no topic u, v; run: creditstream topics apply")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, RequireTopics(ctx, adm, "u"))
}

// Brokers that are busy may take longer to hear of a topic than one that nobody
// has created is looked for.
func TestATopicThatWasCreatedIsNotMissing(t *testing.T) {
	t.Parallel()
	cluster, config := start(t)
	adm := kadm.NewClient(connect(t, config))
	var known time.Time // when the broker has heard of it; only the broker's goroutine reads and writes it
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		topics := request.(*kmsg.MetadataRequest).Topics
		if len(topics) != 1 {
			return nil, nil, false
		}
		if known.IsZero() {
			known = time.Now().Add(spreadTime + spreadInterval)
		}
		if time.Now().After(known) {
			return nil, nil, false
		}
		response := request.ResponseKind().(*kmsg.MetadataResponse)
		unknown := kmsg.NewMetadataResponseTopic()
		unknown.Topic, unknown.ErrorCode = topics[0].Topic, kerr.UnknownTopicOrPartition.Code
		response.Topics = append(response.Topics, unknown)
		broker := kmsg.NewMetadataResponseBroker()
		host, port, _ := net.SplitHostPort(cluster.ListenAddrs()[0])
		number, _ := strconv.Atoi(port)
		broker.NodeID, broker.Host, broker.Port = 0, host, int32(number)
		response.Brokers = append(response.Brokers, broker)
		return response, nil, true
	})
	created, err := CreateTopics(t.Context(), adm, []TopicSpec{spec})
	require.NoError(t, err)
	require.Equal(t, []string{"t"}, created)
}

var wantedTimes = GroupTimes{Session: 10 * time.Second, Heartbeat: time.Second}

// groupConfigs are what a cluster says of a group.
func groupConfigs(t *testing.T, client *kgo.Client, group string) map[string]string {
	r := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(t.Context(), client)
	require.NoError(t, err)
	values := map[string]string{}
	for _, c := range response.Resources[0].Configs {
		if c.Value != nil {
			values[c.Name] = *c.Value
		}
	}
	return values
}

func TestAGroupsTimesAreAsLowAsAllowed(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	client := connect(t, config)
	set, err := SetGroupTimes(t.Context(), client, "g", wantedTimes)
	require.NoError(t, err)
	require.Equal(t, wantedTimes, set)
	values := groupConfigs(t, client, "g")
	require.Equal(t, "10000", values[groupSessionTimeout])
	require.Equal(t, "1000", values[groupHeartbeatInterval])
}

func TestTheBrokersMinimaRuleAGroupsTimes(t *testing.T) {
	t.Parallel()
	cluster, config := start(t)
	cluster.ControlKey(int16(kmsg.DescribeConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
		resource := kmsg.NewDescribeConfigsResponseResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeBroker, "0"
		for name, ms := range map[string]string{minSessionTimeout: "45000", minHeartbeatInterval: "5000"} {
			c := kmsg.NewDescribeConfigsResponseResourceConfig()
			c.Name, c.Value = name, kadm.StringPtr(ms)
			resource.Configs = append(resource.Configs, c)
		}
		response.Resources = append(response.Resources, resource)
		return response, nil, true
	})
	client := connect(t, config)
	set, err := SetGroupTimes(t.Context(), client, "g", wantedTimes)
	require.NoError(t, err)
	require.Equal(t, GroupTimes{Session: 45 * time.Second, Heartbeat: 5 * time.Second}, set)
	values := groupConfigs(t, client, "g")
	require.Equal(t, "45000", values[groupSessionTimeout])
	require.Equal(t, "5000", values[groupHeartbeatInterval])
}

func TestAClusterWithoutGroupConfigsSaysSo(t *testing.T) {
	t.Parallel()
	cluster, config := start(t)
	cluster.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		resource := kmsg.NewIncrementalAlterConfigsResponseResource()
		resource.ErrorCode = kerr.InvalidRequest.Code
		response.Resources = append(response.Resources, resource)
		return response, nil, true
	})
	_, err := SetGroupTimes(t.Context(), connect(t, config), "g", wantedTimes)
	require.ErrorIs(t, err, ErrNoGroupConfigs)
}

func TestServerSideGroups(t *testing.T) {
	t.Parallel()
	_, config := start(t)
	has, err := ServerSideGroups(t.Context(), kadm.NewClient(connect(t, config)))
	require.NoError(t, err)
	require.True(t, has)
	_, config = start(t, kfake.MaxVersions(kversion.V3_7_0()))
	has, err = ServerSideGroups(t.Context(), kadm.NewClient(connect(t, config)))
	require.NoError(t, err)
	require.False(t, has)
}
