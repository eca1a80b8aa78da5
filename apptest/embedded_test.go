package apptest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/local"
)

// embedded starts Kafka and Redis inside the test.
func embedded(t *testing.T) servers {
	kafka, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	redis, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	return servers{kafka.Addr(), redis.Addr()}
}

func TestExactlyOnceOnTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	scenario{
		applications: 20_000,
		source:       []string{"--population", "--seed", "7", "--rate", "5000"},
		score:        []string{"--static"}, // a killed member's partitions need not wait for its session to expire
		back:         true,
	}.exactlyOnce(t, embedded(t))
}
