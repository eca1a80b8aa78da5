package view

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func emptyStore(t *testing.T) (*local.Redis, *redis.Client, *Store) {
	server, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return server, rdb, NewStore(rdb, "t")
}

// Whatever the order and however often decisions are written, the last eight are
// kept, each once, and of those before them when the first was made.
func TestDecided_KeepsTheLastEightInAnyOrder(t *testing.T) {
	t.Parallel()
	server, rdb, store := emptyStore(t)
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for n := range 25 {
		server.Server().FlushAll()
		var entries []Entry
		for i := range n {
			stamp := Stamp{Partition: int32(random.IntN(3)), Offset: int64(i), Log: 7, DecidedUS: int64(random.IntN(12))}
			entries = append(entries, Entry{ID: "a", DecidedExpires: time.Now().Add(time.Hour), Decided: Decided{
				Probability: 0.25, ModelVersion: fmt.Sprintf("v\t%d%%\n", i), Decision: schemas.Refer, Sex: "1", Marriage: "2", Education: "missing", AgeBand: "25-34",
				Appended: 1000 + stamp.DecidedUS, Stamp: stamp,
			}})
		}
		for range 3 {
			for _, k := range random.Perm(n) {
				_, err := store.Write(t.Context(), entries[k:k+1])
				require.NoError(t, err)
			}
		}
		var want []Decided
		for _, e := range entries {
			want = append(want, e.Decided)
		}
		label := func(d Decided) labels.Decision { return (&kept{Decided: d}).label() }
		slices.SortFunc(want, func(a, b Decided) int { return label(b).Compare(label(a)) })
		earlier := want[min(n, labels.Kept):]
		want = want[:min(n, labels.Kept)]
		got, err := store.Decisions(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, want, got)
		stored, err := rdb.Get(t.Context(), "t:decided:a").Result()
		if n == 0 {
			require.ErrorIs(t, err, redis.Nil)
			continue
		}
		require.NoError(t, err)
		all, ok := parseDecided(stored)
		require.True(t, ok)
		if len(earlier) == 0 {
			require.Len(t, all, len(want))
			continue
		}
		first := earlier[len(earlier)-1]
		require.Equal(t, &labels.Decision{Decided: schemas.Timestamp(first.Stamp.DecidedUS), Appended: first.Appended, Partition: labels.Forgotten}, all[len(all)-1].forgotten)
	}
}

// A decision whose time is over goes with the next; the key lives as long as the last.
func TestDecided_ForgetsWhatIsTooOld(t *testing.T) {
	t.Parallel()
	_, rdb, store := emptyStore(t)
	now := time.Now()
	const lifetime = 800 * 24 * time.Hour
	write := func(offset int64, appended time.Time) {
		_, err := store.Write(t.Context(), []Entry{{
			ID: "a", DecidedExpires: appended.Add(lifetime), DecidedSince: now.Add(-lifetime),
			Decided: Decided{Appended: appended.UnixMilli(), Stamp: Stamp{Offset: offset, DecidedUS: appended.UnixMicro()}},
		}})
		require.NoError(t, err)
	}
	write(2, now.Add(-time.Hour))
	write(1, now.Add(-lifetime).Add(time.Hour)) // written again, behind the last
	require.InDelta(t, lifetime-time.Hour, rdb.PTTL(t.Context(), "t:decided:a").Val(), float64(time.Minute))
	got, err := store.Decisions(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, got, 2)
	now = now.Add(2 * time.Hour)
	write(3, now.Add(-time.Minute))
	got, err = store.Decisions(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []int64{3, 2}, []int64{got[0].Stamp.Offset, got[1].Stamp.Offset})
}

// Of another log nothing is kept.
func TestDecided_IsOfOneLog(t *testing.T) {
	t.Parallel()
	_, _, store := emptyStore(t)
	for i, log := range []uint32{1, 1, 2} {
		_, err := store.Write(t.Context(), []Entry{{ID: "a", DecidedExpires: time.Now().Add(time.Hour), Decided: Decided{Stamp: Stamp{Offset: int64(i), Log: log, DecidedUS: 100 - int64(i)}}}})
		require.NoError(t, err)
	}
	got, err := store.Decisions(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, []Decided{{Stamp: Stamp{Offset: 2, Log: 2, DecidedUS: 98}}}, got)
}

// A rebuild takes out what the log no longer holds, and leaves claims where they are.
func TestDecided_IsSweptDecisionByDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 10, 1)
	w.emit(0, 10, 2)
	w.emit(0, 10, 3)
	v, _ := w.start()
	w.same()
	w.ready(v)
	store := NewStore(w.rdb, "t")
	_, err := store.Claim(t.Context(), []Claim{{id(3), "x/0/1", lately}})
	require.NoError(t, err)
	w.cutLog(2)
	done, err := Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	require.Zero(t, done.Removed)
	for i := range 10 {
		got, err := store.Decisions(t.Context(), id(i))
		require.NoError(t, err)
		require.NotEmpty(t, got)
		for _, d := range got {
			require.GreaterOrEqual(t, d.Stamp.Offset, int64(2))
			require.EqualValues(t, 1, d.Stamp.Generation)
		}
	}
	again, err := store.Claim(t.Context(), []Claim{{id(3), "x/0/2", lately}})
	require.NoError(t, err)
	require.False(t, again[0].First)
}

// What is kept of a decision is small: eight take less than a kilobyte and a half.
func TestDecided_IsSmall(t *testing.T) {
	t.Parallel()
	d := Decided{Probability: 0.18342113, ModelVersion: "2026-11-23.1", Decision: schemas.Approve, Sex: "2", Marriage: "1", Education: "2", AgeBand: "25-34",
		Appended: 1764093600124, Stamp: Stamp{11, 123_456_789, 4_294_967_295, 1764093600123456, 1}}
	line := d.appendLine(nil)
	require.Less(t, len(line), 120)
	got, ok := parseLine(string(line) + "0123abcd/11/123456789")
	require.True(t, ok)
	require.Equal(t, kept{Decided: d, outcome: "0123abcd/11/123456789"}, got)
}
