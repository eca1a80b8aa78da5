//go:build kafka

package apptest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// given is the Kafka and Redis that the environment names. A test that asks for
// them fails without: nothing is skipped.
func given(t *testing.T) servers {
	s := servers{os.Getenv("CREDITSTREAM_TEST_KAFKA"), os.Getenv("CREDITSTREAM_TEST_REDIS")}
	require.NotEmpty(t, s.kafka, "CREDITSTREAM_TEST_KAFKA is not set; run: make test-kafka")
	require.NotEmpty(t, s.redis, "CREDITSTREAM_TEST_REDIS is not set; run: make test-kafka")
	return s
}

func TestExactlyOnceOnKafka(t *testing.T) {
	dataset := os.Getenv("DATASET")
	require.FileExists(t, dataset, "DATASET must name the UCI CSV file")
	scenario{
		applications: 200_000,
		source:       []string{"--file", dataset, "--loop", "--rate", "0"},
	}.exactlyOnce(t, given(t))
}

func TestDeadLettersAreReplayedOnceOnKafka(t *testing.T) {
	replayedOnce(t, given(t))
}

func TestAScorerHandsOverOnKafka(t *testing.T) {
	newStage(t, given(t)).handsOver()
}

func TestAScorerHandsOverByTheConsumerProtocolOnKafka(t *testing.T) {
	newStage(t, given(t), "--group-protocol", "consumer").handsOver()
}

func TestAScorerThatIsKilledIsTakenOverOnKafka(t *testing.T) {
	t.Parallel() // it waits for a timeout most of the time
	newStage(t, given(t)).isTakenOver()
}

func TestAScorerThatIsKilledIsTakenOverByTheConsumerProtocolOnKafka(t *testing.T) {
	t.Parallel() // as above
	newStage(t, given(t), "--group-protocol", "consumer").isTakenOver()
}

// A group of the consumer protocol has the times of a classic member, where the
// brokers allow them as those of deploy/dev/kafka.sh and compose.yaml do.
func TestTheGroupsTimesAreAClassicMembersOnKafka(t *testing.T) {
	g := newStage(t, given(t))
	var applied struct {
		Session   int `json:"group_session_timeout_ms"`
		Heartbeat int `json:"group_heartbeat_interval_ms"`
	}
	run(t, g.with("topics", "apply", "--json", "--group", g.prefix, "--group-protocol", "consumer")...).answer(&applied)
	require.Equal(t, 10_000, applied.Session)
	require.Equal(t, 1_000, applied.Heartbeat)
	configs := groupConfigs(t, g)
	require.Equal(t, "10000", configs["consumer.session.timeout.ms"])
	require.Equal(t, "1000", configs["consumer.heartbeat.interval.ms"])
}

// groupConfigs are what the brokers say of the stage's group.
func groupConfigs(t *testing.T, g *stage) map[string]string {
	r := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, g.prefix
	r.Resources = append(r.Resources, resource)
	response, err := r.RequestWith(t.Context(), newClient(t, g.servers))
	require.NoError(t, err)
	require.Len(t, response.Resources, 1)
	values := map[string]string{}
	for _, c := range response.Resources[0].Configs {
		if c.Value != nil {
			values[c.Name] = *c.Value
		}
	}
	return values
}

func TestAScorerStoppedInsideATransactionOnKafka(t *testing.T) {
	newStage(t, given(t)).stoppedInside()
}

func TestAScorerOfTheConsumerProtocolStoppedInsideATransactionOnKafka(t *testing.T) {
	newStage(t, given(t), "--group-protocol", "consumer").stoppedInside()
}

func TestAModelsLifeOnKafka(t *testing.T) {
	newStage(t, given(t)).lives(2000)
}

func TestOfTwoRoutersAtOnceOneRoutesOnKafka(t *testing.T) {
	newStage(t, given(t)).oneRoutes()
}

func TestDecisionsAreCountedOnceOnKafka(t *testing.T) {
	dataset := os.Getenv("DATASET")
	require.FileExists(t, dataset, "DATASET must name the UCI CSV file")
	countedOnce(t, given(t), 200_000, 8, "--file", dataset, "--loop", "--rate", "0")
}

func TestAlertsAreToldOnceOnKafka(t *testing.T) {
	toldOnce(t, given(t), false)
}

func TestTheDocumentedWalkIsQuietOnKafka(t *testing.T) { walked(t, given(t)) }
