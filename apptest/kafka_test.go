//go:build kafka

package apptest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
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
	newStage(t, given(t)).isTakenOver()
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
