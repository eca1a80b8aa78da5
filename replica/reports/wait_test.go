package reports

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas"
)

func TestLog_WaitsUntilEveryReplicaServesARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopic()
	serves := func(revision int64) {
		p := schemas.Replica{Component: "score", Instance: "one", Started: 1, At: schemas.At(time.Now()), Ready: true,
			Models: &schemas.ReplicaModels{Champion: "v1", RouteRevision: revision, NewestRevision: revision}}
		w.write(&kgo.Record{Key: []byte(schemas.ReplicaKey("score", "one")), Value: schemas.AppendReplica(nil, &p)})
	}
	l, err := OpenLog(t.Context(), w.config, w.topics)
	require.NoError(t, err)
	defer l.Close()
	none := l.Wait(t.Context(), time.Millisecond, 3, []string{"v1"})
	require.False(t, none.Served)
	require.NotEmpty(t, none.Why)

	serves(2)
	require.NoError(t, l.Follow(t.Context(), time.Minute))
	late := l.Wait(t.Context(), time.Millisecond, 3, []string{"v1"})
	require.Len(t, late.Waiting, 1)
	require.NotEmpty(t, late.Why)

	serves(3)
	served := l.Wait(t.Context(), time.Minute, 3, []string{"v1"})
	require.True(t, served.Served)
	require.Equal(t, []string{"score/one"}, served.Serving)
	require.Empty(t, served.Why)
}
