//go:build kafka

package apptest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// A topic that is missing, or goes away, is named, and no scorer is ready or goes on
// without; when it is there, it works.
func TestATopicThatIsMissingIsNamedOnKafka(t *testing.T) {
	t.Parallel()
	g := bareStage(t, given(t))
	adm := kadm.NewClient(newClient(t, g.servers))
	apply := func() { run(t, g.with("topics", "apply", "--partitions", "4")...) }
	remove := func(topics ...string) {
		deleted, err := adm.DeleteTopics(t.Context(), topics...)
		require.NoError(t, err)
		require.NoError(t, deleted.Error())
		until(t, time.Minute, "they are gone", func() bool {
			have, err := adm.ListTopics(t.Context())
			require.NoError(t, err)
			return !slices.ContainsFunc(topics, have.Has)
		})
	}
	predictions, letters := g.prefix+".predictions", g.prefix+".applications.dlq"
	apply()
	remove(letters, predictions)
	one := g.scorer("one")
	until(t, time.Minute, "it says what is missing", func() bool {
		status, text := shownBy(one.listen, "/readyz")
		require.NotEqual(t, http.StatusOK, status, text)
		return one.hasEnded() || status == http.StatusServiceUnavailable && strings.Contains(text, predictions)
	})
	one.endsSaying("the cluster has no topic "+letters+", "+predictions+";", "run: creditstream topics apply")

	apply()
	g.witness = watch(t, g.servers, g.prefix)
	one = g.scorer("one").ready()
	g.emit(200)
	g.exact()

	remove(letters)
	g.emit(200)
	one.endsSaying("the cluster has no topic "+letters+";", "run: creditstream topics apply")
}
