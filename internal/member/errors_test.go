package member

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestEveryErrorThatIsNeitherRetriableNorOursIsARecords(t *testing.T) {
	require.True(t, IsRecords(kerr.PolicyViolation))
	require.True(t, IsRecords(fmt.Errorf("writing: %w", kerr.MessageTooLarge)))
	require.False(t, IsRecords(kerr.NotEnoughReplicas))
	require.False(t, IsRecords(kerr.UnknownTopicOrPartition))
	require.False(t, IsRecords(kerr.ProducerFenced))
	require.False(t, IsRecords(errors.New("the network")))
}
