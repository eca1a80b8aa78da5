package member

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSkip_IsATopicAPartitionAndOffsets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Skip{
		"applications/3@264":           {"applications", 3, 264, -1},
		"credit.applications/11@0":     {"credit.applications", 11, 0, -1},
		"credit.applications/0@7-4096": {"credit.applications", 0, 7, 4096},
		"applications/3@010":           {"applications", 3, 10, -1}, // decimal
	} {
		got, err := ParseSkip(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "3@264", "/3@264", "applications/3", "applications@264", "applications/-1@4", "applications/3@-4", "applications/3@9-8", "applications/3@", "applications/x@1", "applications/3@1-", "applications/99999999999@1"} {
		_, err := ParseSkip(text)
		require.ErrorContains(t, err, "--skip", text)
	}
}
