package member

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/retry"
)

// groupWorld is an embedded broker with the topics of two deployments.
type groupWorld struct {
	t      *testing.T
	config kafka.Config
	client *kgo.Client
	adm    *kadm.Client
}

const (
	ours   = "prod.applications"
	theirs = "staging.applications"
)

func newGroupWorld(t *testing.T) *groupWorld {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &groupWorld{t: t, config: kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test"}}
	w.client, err = kgo.NewClient(w.config.Options()...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	w.adm = kadm.NewClient(w.client)
	_, err = kafka.CreateTopics(t.Context(), w.adm, []kafka.TopicSpec{{Name: ours, Partitions: 3, Replication: 1}, {Name: theirs, Partitions: 3, Replication: 1}})
	require.NoError(t, err)
	return w
}

// commit commits an offset of three partitions; the next one is one higher.
func (w *groupWorld) commit(group, topic string, at int64) {
	offsets := kadm.Offsets{}
	for p := range int32(3) {
		offsets.AddOffset(topic, p, at+int64(p), -1)
	}
	require.NoError(w.t, w.adm.CommitAllOffsets(w.t.Context(), group, offsets))
}

// committed are the offsets of a group, by partition.
func (w *groupWorld) committed(group, topic string) map[int32]int64 {
	offsets, err := offsetsOf(w.t.Context(), w.adm, group, []string{topic})
	require.NoError(w.t, err)
	at := map[int32]int64{}
	offsets.Each(func(o kadm.Offset) { at[o.Partition] = o.At })
	return at
}

// join makes a member that reads a topic, and waits until the group has it.
func (w *groupWorld) join(group, topic string) (leave func()) {
	client, err := kgo.NewClient(append(w.config.Options(), kgo.ClientID("creditstream-score-a"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic))...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	require.Eventually(w.t, func() bool {
		members, err := MembersOf(w.t.Context(), w.adm, group)
		return err == nil && len(members) == 1 && len(members[0].Topics) == 1
	}, time.Minute, 5*time.Millisecond)
	return client.Close
}

func prodScorer() Names { return Names{Group: "prod.scorer", Former: "scorer"} }

func TestNames_AdoptAGroupThatHasCommits(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t)
	f := func(n Names, want string) {
		t.Helper()
		got, err := n.Resolve(t.Context(), w.adm, ours)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(prodScorer(), "prod.scorer")
	w.commit("scorer", theirs, 7) // another deployment's
	f(prodScorer(), "prod.scorer")
	w.commit("scorer", ours, 0)
	f(prodScorer(), "scorer")
	f(Names{Group: "night"}, "night") // as it was told
	var log bytes.Buffer
	group, err := prodScorer().Settle(t.Context(), w.adm, slog.New(slog.NewTextHandler(&log, nil)), ours)
	require.NoError(t, err)
	require.Equal(t, "scorer", group)
	require.Contains(t, log.String(), "group=scorer name=prod.scorer")
	w.commit("prod.scorer", ours, 5)
	f(prodScorer(), "prod.scorer")
}

func TestNames_RefuseAGroupOfAnotherTopic(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t)
	f := func(group, names string) {
		t.Helper()
		_, err := Names{Group: group}.Settle(t.Context(), w.adm, slog.New(slog.DiscardHandler), ours, "prod.outcomes")
		if names == "" {
			require.NoError(t, err)
			return
		}
		require.True(t, retry.IsPermanent(err), "%v", err)
		require.ErrorContains(t, err, names)
		require.ErrorContains(t, err, "choose another --group")
	}
	f("new", "")
	w.commit("taken", theirs, 3)
	f("taken", theirs)
	w.commit("shared", theirs, 3) // and has been for long
	w.commit("shared", ours, 3)
	f("shared", "")
	w.join("joined", theirs)
	f("joined", theirs)
	w.join("own", ours)
	f("own", "")
}

func TestNames_AdoptMovesOffsetsOnce(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t)
	moved, err := prodScorer().Adopt(t.Context(), w.adm, ours)
	require.NoError(t, err)
	require.Empty(t, moved.Offsets)

	w.commit("scorer", ours, 100)
	w.commit("scorer", theirs, 5)
	leave := w.join("scorer", ours)
	_, err = prodScorer().Adopt(t.Context(), w.adm, ours)
	var members *MembersError
	require.ErrorAs(t, err, &members)
	require.Equal(t, "scorer", members.Group)
	require.ErrorContains(t, err, "creditstream-score-a at ")
	require.Empty(t, w.committed("prod.scorer", ours))
	leave()

	moved, err = prodScorer().Adopt(t.Context(), w.adm, ours)
	require.NoError(t, err)
	require.Equal(t, []GroupOffset{{ours, 0, 100}, {ours, 1, 101}, {ours, 2, 102}}, moved.Offsets)
	want := map[int32]int64{0: 100, 1: 101, 2: 102}
	require.Equal(t, want, w.committed("prod.scorer", ours))
	require.Empty(t, w.committed("scorer", ours), "an earlier release would answer again what was answered since")
	require.Empty(t, w.committed("prod.scorer.adopting", ours))
	require.Equal(t, map[int32]int64{0: 5, 1: 6, 2: 7}, w.committed("scorer", theirs), "another deployment's")

	moved, err = prodScorer().Adopt(t.Context(), w.adm, ours)
	require.NoError(t, err)
	require.Empty(t, moved.Offsets)
	require.Equal(t, want, w.committed("prod.scorer", ours))

	// Used under both names: whose offsets count nobody can say.
	w.commit("scorer", ours, 300)
	_, err = prodScorer().Adopt(t.Context(), w.adm, ours)
	require.ErrorContains(t, err, "both have committed offsets")
	require.Equal(t, want, w.committed("prod.scorer", ours))
}

func TestNames_AdoptContinuesWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	for name, interrupted := range map[string]func(w *groupWorld){
		"before the old are gone": func(w *groupWorld) {
			w.commit("scorer", ours, 100)
			w.commit("prod.scorer.adopting", ours, 40) // of an attempt before the scorers went on
		},
		"before the new are there": func(w *groupWorld) { w.commit("prod.scorer.adopting", ours, 100) },
		"with one old one left": func(w *groupWorld) {
			w.commit("prod.scorer.adopting", ours, 100)
			last := kadm.Offsets{}
			last.AddOffset(ours, 2, 102, -1)
			require.NoError(w.t, w.adm.CommitAllOffsets(w.t.Context(), "scorer", last))
		},
		"at the end": func(w *groupWorld) {
			w.commit("prod.scorer.adopting", ours, 100)
			w.commit("prod.scorer", ours, 100)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGroupWorld(t)
			interrupted(w)
			_, err := prodScorer().Adopt(t.Context(), w.adm, ours)
			require.NoError(t, err)
			require.Equal(t, map[int32]int64{0: 100, 1: 101, 2: 102}, w.committed("prod.scorer", ours))
			require.Empty(t, w.committed("scorer", ours))
			require.Empty(t, w.committed("prod.scorer.adopting", ours))
		})
	}
}

// Who joins between the look for members and the end fences Adopt, not the other way
// round: a broker deletes no offset that a member reads.
func TestNames_AdoptIsFencedByWhoJoins(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t)
	w.commit("scorer", ours, 100)
	leave := w.join("scorer", ours)
	old, err := offsetsOf(t.Context(), w.adm, "scorer", []string{ours})
	require.NoError(t, err)
	err = deleteOffsets(t.Context(), w.adm, "scorer", old)
	require.ErrorIs(t, err, kerr.GroupSubscribedToTopic)
	leave()
	require.NoError(t, deleteOffsets(t.Context(), w.adm, "scorer", old))
}
