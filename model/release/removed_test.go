package release

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafkatest"
)

// Where no good copy of a damaged batch is left, its topic is emptied up to the batch's
// end: what was lost is released and routed again, and those that run and those that start
// serve it. What ran went on serving meanwhile.
func TestUnreadableBatch_IsGotRidOfByRemovingWhatLiesBeforeItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.createTopics()
	w.release("v1")
	w.champion(-1, "v1")
	f := w.followSoon()
	w.serves(f, 0, "v1")
	for _, topic := range []string{w.topics.Models, w.topics.Routes} {
		require.NoError(t, kafkatest.Records(dir, topic, 0, 0))
	}
	late := w.followSoon()
	w.eventually(func() bool { return late.Ready() != nil }, "one that starts is unready")

	var gone kadm.Offsets
	gone.AddOffset(w.topics.Models, 0, 1, -1)
	gone.AddOffset(w.topics.Routes, 0, 1, -1)
	removed, err := kadm.NewClient(w.client).DeleteRecords(t.Context(), gone)
	require.NoError(t, err)
	require.NoError(t, removed.Error())
	w.serves(f, 0, "v1")
	w.release("v1")
	revision := w.champion(-1, "v1")
	require.Positive(t, revision, "no revision is given twice")
	w.serves(f, revision, "v1")
	w.serves(late, revision, "v1")
}
