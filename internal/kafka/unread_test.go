package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnread_CountsABatchOnceAndNamesTheFirst(t *testing.T) {
	t.Parallel()
	var u Unread
	require.Empty(t, u.String())
	for range 2 {
		for i := range int64(12) {
			require.NoError(t, u.PassOver(&UnreadableError{Topic: "p", Partition: 3, From: 5 * i, To: 5*i + 2}))
		}
	}
	require.EqualValues(t, 24, u.Offsets)
	require.Equal(t, "24 offsets that cannot be read are left out, in the batches at p/3@0, p/3@5, p/3@10, p/3@15, p/3@20, "+
		"p/3@25, p/3@30, p/3@35, p/3@40, p/3@45 and 2 batches more", u.String())
}
