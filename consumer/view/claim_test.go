package view

import (
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/schemas"
)

// lately is an outcome of whatever was decided last.
var lately = labels.Outcome{Observed: math.MaxInt64, Appended: math.MaxInt64}

func TestAnOutcomeClaimsItsDecisionOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 300, 7)
	_, stop := w.start()
	defer stop()
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	w.same()
	claims := make([]Claim, 301)
	for i := range claims {
		claims[i] = Claim{id(i), "a/0/" + strconv.Itoa(i), lately}
	}
	first, err := store.Claim(ctx, claims)
	require.NoError(t, err)
	require.Len(t, first, 301)
	for _, c := range first[:300] {
		require.Equal(t, Claimed{Found: labels.Matched, First: true, Probability: 0.07, ModelVersion: "v7", Decision: schemas.Approve}, c)
	}
	require.Equal(t, Claimed{}, first[300], "nothing was decided about it")
	again, err := store.Claim(ctx, claims)
	require.NoError(t, err)
	require.Equal(t, first, again, "the same outcomes, read twice")
	claims[5].Outcome = "a/1/5"
	others, err := store.Claim(ctx, claims[5:6])
	require.NoError(t, err)
	require.Equal(t, []Claimed{{Found: labels.Matched, Probability: 0.07, ModelVersion: "v7", Decision: schemas.Approve}}, others)
	none, err := store.Claim(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// A later decision about the same application, and the view that is written anew,
// leave a claim where it is, and the later decision can be claimed, too.
func TestAClaimStaysWhenItsDecisionIsWrittenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 10, 1)
	between := labels.Outcome{Observed: schemas.At(w.clock), Appended: math.MaxInt64}
	_, stop := w.start()
	defer stop()
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	w.same()
	_, err := store.Claim(ctx, []Claim{{id(3), "a/0/1", between}})
	require.NoError(t, err)
	w.emit(0, 10, 2)
	w.same()
	_, err = Rebuild(ctx, w.config, io.Discard)
	require.NoError(t, err)
	got, err := store.Claim(ctx, []Claim{{id(3), "a/0/2", between}, {id(3), "a/0/1", between}, {id(3), "a/0/3", lately}, {id(3), "a/0/4", lately}})
	require.NoError(t, err)
	require.Equal(t, []Claimed{
		{labels.Matched, false, 0.01, "v1", schemas.Approve}, {labels.Matched, true, 0.01, "v1", schemas.Approve},
		{labels.Matched, true, 0.02, "v2", schemas.Approve}, {labels.Matched, false, 0.02, "v2", schemas.Approve},
	}, got)
	ttl, err := w.rdb.TTL(ctx, w.keys.decided(id(3))).Result()
	require.NoError(t, err)
	require.Positive(t, ttl)
	n, err := store.Erase(ctx, id(3))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	left, err := w.rdb.Keys(ctx, "*"+id(3)).Result()
	require.NoError(t, err)
	require.Empty(t, left, "no decision and no claim stays behind")
}

// An outcome that claimed a decision while a later one was missing gives it back.
func TestClaim_IsGivenBackWhenTheRightDecisionAppears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	write := func(offset int64) {
		later := time.Now().Add(time.Hour)
		_, err := store.Write(ctx, []Entry{{ID: "a", DecidedExpires: later, Decided: Decided{ModelVersion: "v" + strconv.FormatInt(offset, 10), Stamp: Stamp{Offset: offset, DecidedUS: offset}}}})
		require.NoError(t, err)
	}
	claim := func(outcome, version string, first bool) {
		t.Helper()
		got, err := store.Claim(ctx, []Claim{{"a", outcome, lately}})
		require.NoError(t, err)
		require.Equal(t, []Claimed{{Found: labels.Matched, First: first, ModelVersion: version}}, got)
	}
	write(1)
	claim("x/0/1", "v1", true)
	write(2)
	claim("x/0/1", "v2", true)
	claim("x/0/2", "v2", false)
	stored, err := w.rdb.Get(ctx, w.keys.decided("a")).Result()
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(stored, "x/0/1"))
}

func TestWhatTheViewDidNotWriteIsNoDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	require.NoError(t, w.rdb.Set(ctx, w.keys.decided("text"), "x", 0).Err())
	require.NoError(t, w.rdb.HSet(ctx, w.keys.decided("hash"), "model_version", "v1").Err())
	require.NoError(t, w.rdb.Set(ctx, w.keys.decided("odd"), "1\n0/1/2/3/4/5\tmuch\tv\tapprove\t1\t1\t1\t1\t", 0).Err())
	require.NoError(t, w.rdb.Set(ctx, w.keys.decided("empty"), "", 0).Err())
	var claims []Claim
	for _, id := range []string{"text", "hash", "odd", "empty"} {
		claims = append(claims, Claim{id, "a", lately})
	}
	got, err := store.Claim(ctx, claims)
	require.NoError(t, err)
	require.Equal(t, make([]Claimed, 4), got)
	w.redis.Close()
	_, err = store.Claim(ctx, claims)
	require.ErrorContains(t, err, "looking up decisions in Redis")
}

func TestPassedSaysWhetherTheViewHasCaughtUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, ctx := NewStore(w.rdb, "t"), t.Context()
	topic := [16]byte{1, 2, 3, 4, 5}
	f := func(want bool, topic [16]byte, ends map[int32]int64) {
		t.Helper()
		got, err := store.Passed(ctx, topic, ends)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(false, topic, nil) // nothing is known of where it ends
	f(false, topic, map[int32]int64{0: 0})
	require.NoError(t, store.begin(ctx, logNumber(topic), map[int32]int64{0: 10, 1: 20}))
	f(true, topic, map[int32]int64{0: 10, 1: 20})
	f(true, topic, map[int32]int64{0: 9})
	f(false, topic, map[int32]int64{0: 10, 1: 21})
	f(false, topic, map[int32]int64{0: 10, 1: 20, 2: 0})
	f(false, [16]byte{9}, map[int32]int64{0: 10, 1: 20}) // another log of that name
}
