package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/aggregate"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/schemas"
)

func TestOutcomesAreJoinedThroughTheView(t *testing.T) {
	server, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	client := redisconn.Config{Address: redisconn.Address{Servers: []string{server.Addr()}}}.Open()
	t.Cleanup(func() { _ = client.Close() })
	store, later := view.NewStore(client, "t"), time.Now().Add(time.Hour)
	_, err = store.Write(t.Context(), []view.Entry{{
		ID: "A-1", Value: []byte(`{}`), PredictionExpires: later, DecidedExpires: later,
		Decided: view.Decided{Probability: 0.25, ModelVersion: "v1", Decision: schemas.Approve},
	}, {
		ID: "A-3", Value: []byte(`{}`), PredictionExpires: later, DecidedExpires: later,
		Decided: view.Decided{Probability: 0.75, ModelVersion: "v1", Decision: schemas.Decline},
	}, {
		ID: "A-4", Value: []byte(`{}`), PredictionExpires: later, DecidedExpires: later,
		Decided: view.Decided{Probability: 0.5, ModelVersion: "v1", Decision: schemas.Refer},
	}})
	require.NoError(t, err)
	d := decided{store}
	ask := func() []counting.Claimed {
		answers, err := d.Claim(t.Context(), []counting.Claim{{ApplicationID: "A-1", Appended: later, Outcome: "a/0/7"}, {ApplicationID: "A-1", Appended: later, Outcome: "a/0/9"}, {ApplicationID: "A-2", Appended: later, Outcome: "a/0/8"}, {ApplicationID: "A-3", Appended: later, Outcome: "a/0/10"}, {ApplicationID: "A-4", Appended: later, Outcome: "a/0/11"}})
		require.NoError(t, err)
		return answers
	}
	want := []counting.Claimed{
		{State: counting.Matched, Probability: 0.25, ModelVersion: "v1"}, {State: counting.Repeated, Probability: 0.25, ModelVersion: "v1"}, {State: counting.Unknown},
		{State: counting.Matched, Probability: 0.75, ModelVersion: "v1", Declined: true}, {State: counting.Matched, Probability: 0.5, ModelVersion: "v1"},
	}
	require.Equal(t, want, ask())
	require.Equal(t, want, ask(), "read again")
	passed, err := d.Passed(t.Context(), aggregate.Log{}, map[int32]int64{0: 1})
	require.NoError(t, err)
	require.False(t, passed)

	var permanent interface{ Permanent() bool }
	require.NoError(t, client.Set(t.Context(), "t:{view}:cluster", "theirs", 0).Err())
	_, err = decided{store.Of(func() (string, bool) { return "", false })}.Claim(t.Context(), []counting.Claim{{ApplicationID: "A-1"}})
	require.Error(t, err)
	require.NotErrorAs(t, err, &permanent, "it is known as soon as a broker is reached")
	_, err = decided{store.Of(func() (string, bool) { return "ours", true })}.Claim(t.Context(), []counting.Claim{{ApplicationID: "A-1"}})
	require.ErrorAs(t, err, &permanent, "it never is this deployment's by itself")
	require.ErrorContains(t, err, "t.predictions of Kafka cluster theirs; this is cluster ours")
	permanent = nil
	server.Server().SetError("LOADING Redis is loading the dataset in memory")
	_, err = d.Claim(t.Context(), []counting.Claim{{ApplicationID: "A-1"}})
	require.Error(t, err)
	require.NotErrorAs(t, err, &permanent, "it comes back")
	server.Server().SetError("NOPERM this user has no permissions to run the 'eval' command")
	_, err = d.Passed(t.Context(), aggregate.Log{}, map[int32]int64{0: 1})
	require.ErrorAs(t, err, &permanent)
	require.True(t, permanent.Permanent())
	require.ErrorContains(t, err, "docs/security.md")
}
