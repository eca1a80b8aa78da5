package view

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestAnOutcomeClaimsItsDecisionOnce(t *testing.T) {
	w := newWorld(t)
	w.emit(0, 300, 7)
	_, stop := w.start()
	defer stop()
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	w.same()
	claims := make([]Claim, 301)
	for i := range claims {
		claims[i] = Claim{id(i), "a/0/" + strconv.Itoa(i)}
	}
	first, err := store.Claim(ctx, claims)
	require.NoError(t, err)
	require.Len(t, first, 301)
	for _, c := range first[:300] {
		require.Equal(t, Claimed{Known: true, First: true, Probability: 0.07, ModelVersion: "v7", Decision: schemas.Approve}, c)
	}
	require.Equal(t, Claimed{}, first[300], "nothing was decided about it")
	again, err := store.Claim(ctx, claims)
	require.NoError(t, err)
	require.Equal(t, first, again, "the same outcomes, read twice")
	claims[5].Outcome = "a/1/5"
	others, err := store.Claim(ctx, claims[5:6])
	require.NoError(t, err)
	require.Equal(t, []Claimed{{Known: true, Probability: 0.07, ModelVersion: "v7", Decision: schemas.Approve}}, others)
	none, err := store.Claim(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// A later decision about the same application, and the view that is written anew,
// leave a claim where it is.
func TestAClaimStaysWhenItsDecisionIsWrittenAgain(t *testing.T) {
	w := newWorld(t)
	w.emit(0, 10, 1)
	_, stop := w.start()
	defer stop()
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	w.same()
	_, err := store.Claim(ctx, []Claim{{id(3), "a/0/1"}})
	require.NoError(t, err)
	w.emit(0, 10, 2)
	w.same()
	got, err := store.Claim(ctx, []Claim{{id(3), "a/0/2"}, {id(3), "a/0/1"}})
	require.NoError(t, err)
	require.Equal(t, []Claimed{{true, false, 0.02, "v2", schemas.Approve}, {true, true, 0.02, "v2", schemas.Approve}}, got)
	ttl, err := w.rdb.TTL(ctx, w.keys.decided(id(3))).Result()
	require.NoError(t, err)
	require.Positive(t, ttl)
}

func TestWhatTheViewDidNotWriteIsNoDecision(t *testing.T) {
	w := newWorld(t)
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	require.NoError(t, w.rdb.Set(ctx, w.keys.decided("text"), "x", 0).Err())
	require.NoError(t, w.rdb.HSet(ctx, w.keys.decided("half"), "model_version", "v1").Err())
	require.NoError(t, w.rdb.HSet(ctx, w.keys.decided("odd"), "model_version", "v1", "default_probability", "much").Err())
	got, err := store.Claim(ctx, []Claim{{"text", "a"}, {"half", "a"}})
	require.NoError(t, err)
	require.Equal(t, []Claimed{{}, {}}, got)
	_, err = store.Claim(ctx, []Claim{{"odd", "a"}})
	require.ErrorContains(t, err, `"much"`)
	w.redis.Close()
	_, err = store.Claim(ctx, []Claim{{"odd", "a"}})
	require.ErrorContains(t, err, "claiming decisions in Redis")
}

func TestPassedSaysWhetherTheViewHasCaughtUp(t *testing.T) {
	w := newWorld(t)
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	topic := [16]byte{1, 2, 3, 4, 5}
	f := func(want bool, topic [16]byte, ends map[int32]int64) {
		t.Helper()
		got, err := store.Passed(ctx, topic, ends)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(true, topic, nil)
	f(false, topic, map[int32]int64{0: 0})
	require.NoError(t, store.begin(ctx, logNumber(topic), map[int32]int64{0: 10, 1: 20}))
	f(true, topic, map[int32]int64{0: 10, 1: 20})
	f(true, topic, map[int32]int64{0: 9})
	f(false, topic, map[int32]int64{0: 10, 1: 21})
	f(false, topic, map[int32]int64{0: 10, 1: 20, 2: 0})
	f(false, [16]byte{9}, map[int32]int64{0: 10, 1: 20}) // another log of that name
}
