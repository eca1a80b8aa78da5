package member

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestEveryErrorThatIsNeitherRetriableNorOursIsARecords(t *testing.T) {
	t.Parallel()
	require.True(t, IsRecords(kerr.PolicyViolation))
	require.True(t, IsRecords(fmt.Errorf("writing: %w", kerr.MessageTooLarge)))
	require.False(t, IsRecords(kerr.NotEnoughReplicas))
	require.False(t, IsRecords(kerr.UnknownTopicOrPartition))
	require.False(t, IsRecords(kerr.ProducerFenced))
	require.False(t, IsRecords(errors.New("the network")))
}

func TestErrorsOfSeveralPartitionsAreOneLine(t *testing.T) {
	t.Parallel()
	one := fmt.Errorf("unable to commit: %w", errors.Join(
		fmt.Errorf("partition 2: %w", kerr.FencedInstanceID), fmt.Errorf("partition 7: %w", kerr.FencedInstanceID)))
	why := Needs{Instance: "a", Group: "g"}.Fatal(onOneLine(one))
	require.ErrorIs(t, why, kerr.FencedInstanceID)
	require.ErrorContains(t, why, "another process runs as instance")
	require.NotContains(t, why.Error(), "\n")
	require.NoError(t, onOneLine(nil))
	require.Equal(t, kerr.FencedInstanceID, onOneLine(kerr.FencedInstanceID))
}
