package replica

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// process is a replica as a test describes it.
type process struct {
	component, instance string
	started             time.Time
}

func (p process) said(at time.Time, change func(*schemas.Replica)) Record {
	r := schemas.Replica{Component: p.component, Instance: p.instance, Started: schemas.At(p.started), At: schemas.At(at), Ready: true}
	if change != nil {
		change(&r)
	}
	return Record{Key: schemas.ReplicaKey(p.component, p.instance), Value: schemas.AppendReplica(nil, &r), Seen: at}
}

func (p process) stopped() Record {
	return Record{Key: schemas.ReplicaKey(p.component, p.instance), Started: schemas.At(p.started).String()}
}

func (b *Board) takes(t *testing.T, records ...Record) {
	t.Helper()
	for _, r := range records {
		require.NoError(t, b.Take(r))
	}
}

// names are those on the board, with a ! behind those that are gone.
func (b *Board) names(now time.Time) (all []string) {
	for _, s := range b.States(now) {
		name := s.Name()
		if !s.Live(now) {
			name += "!"
		}
		all = append(all, name)
	}
	return all
}

func TestTheBoardShowsWhoIsThere(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	one, two := process{"score", "one", noon}, process{"score", "two", noon}
	b.takes(t, process{"view", "a", noon}.said(noon, nil), two.said(noon, nil), one.said(noon, nil), process{"api", "z", noon}.said(noon, nil), process{"other", "o", noon}.said(noon, nil))
	require.Equal(t, []string{"score/one", "score/two", "api/z", "view/a", "other/o"}, b.names(noon))
	b.takes(t, two.stopped(), one.said(noon.Add(9*time.Second), nil))
	require.Equal(t, []string{"score/one", "api/z", "view/a", "other/o"}, b.names(noon.Add(liveFor)))
	require.Equal(t, []string{"score/one", "api/z!", "view/a!", "other/o!"}, b.names(noon.Add(liveFor+time.Second)))
	require.Equal(t, []string{"score/one!"}, b.names(noon.Add(forgotten+5*time.Second)), "the others were forgotten")
}

func TestTwoProcessesUnderOneNameAreBothShown(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	old, young := process{"api", "host", noon}, process{"api", "host", noon.Add(time.Minute)}
	at := noon.Add(2 * time.Minute)
	b.takes(t, old.said(at, nil), young.said(at, nil))
	require.Equal(t, []string{"api/host", "api/host"}, b.names(at))
	b.takes(t, old.stopped())
	require.Equal(t, []string{"api/host"}, b.names(at))
	require.Equal(t, schemas.At(young.started), b.States(at)[0].Started)
	b.takes(t, Record{Key: "api/host"})
	require.Empty(t, b.names(at), "a tombstone that names nobody means all")
	b.takes(t, old.stopped())
	require.Empty(t, b.names(at))
}

func TestASuccessorReplacesOneThatWasKilled(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	killed, next := process{"score", "one", noon}, process{"score", "one", noon.Add(time.Second)}
	b.takes(t, killed.said(noon, nil), next.said(noon.Add(2*time.Second), nil))
	require.Len(t, b.States(noon.Add(2*time.Second)), 2, "it may still run")
	later := noon.Add(liveFor + time.Second)
	b.takes(t, next.said(later, nil))
	require.Equal(t, []string{"score/one"}, b.names(later))
	require.Len(t, b.states["score/one"], 1, "nothing is kept of it")
}

func TestWhatIsOvertakenIsIgnored(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	one := process{"score", "one", noon}
	b.takes(t, one.said(noon.Add(time.Second), nil), one.said(noon, func(r *schemas.Replica) { r.Ready = false }))
	require.True(t, b.States(noon)[0].Ready)
}

func TestTheBoardRefusesWhatSaysNothing(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	require.ErrorContains(t, b.Take(Record{Key: "score/one", Value: []byte("x")}), `replica "score/one": byte 0: expected one JSON object`)
	r := process{"score", "one", noon}.said(noon, nil)
	r.Key = "score/two"
	require.ErrorContains(t, b.Take(r), `replica "score/two": its record says score/one`)
	require.ErrorContains(t, b.Take(Record{Key: "score/one", Started: "noon"}), `replica "score/one": header started`)
	require.Empty(t, b.States(noon))
}

func TestASummaryAddsUp(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	l := NewLatencies()
	l.Observe(20*time.Millisecond, 50)
	recent, total := l.Turn()
	one := process{"score", "one", noon}
	b.takes(t, one.said(noon.Add(time.Minute), func(r *schemas.Replica) {
		r.Recent = schemas.ReplicaStretch{Seconds: 8, Records: 50, Latency: recent}
		r.Total = schemas.ReplicaStretch{Seconds: 60, Records: 500, Latency: total}
		r.Lag = []schemas.PartitionLag{{Partition: 0, Offsets: 3}, {Partition: 1, Offsets: 4}}
		r.Models = &schemas.ReplicaModels{Champion: "v1", RouteRevision: 2}
	}), process{"view", "a", noon}.said(noon.Add(time.Minute), func(r *schemas.Replica) { r.Recent.Latency = []byte("no sketch") }))
	all := b.Summarise(noon.Add(time.Minute + 1500*time.Millisecond))
	require.Len(t, all, 2)
	s := all[0]
	require.True(t, s.Live && s.Ready)
	require.Equal(t, 1.5, s.AgeSeconds)
	require.Equal(t, 6.3, s.PerSecond)
	require.Equal(t, int64(500), s.Records)
	require.Equal(t, int64(7), *s.Lag)
	require.InEpsilon(t, 20, *s.P50, 1.01*LatencyAccuracy)
	require.InEpsilon(t, 20, *s.P99, 1.01*LatencyAccuracy)
	require.Equal(t, "v1", s.Models.Champion)
	require.NotNil(t, s.Models.Refused, "an empty array, no null")
	require.Nil(t, all[1].Lag)
	require.Nil(t, all[1].P50)
	require.Nil(t, all[1].Models)
	gone := b.Summarise(noon.Add(time.Hour))[0]
	require.False(t, gone.Live || gone.Ready)
	require.Zero(t, gone.PerSecond)
	require.Nil(t, gone.P50)
	require.Equal(t, []Summary{}, NewBoard().Summarise(noon), "an empty array, no null")
}

func TestWhoServesARoute(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	serves := func(instance string, revision, newest int64, pending string, refused ...schemas.Refusal) {
		b.takes(t, process{"score", instance, noon}.said(noon, func(r *schemas.Replica) {
			r.Models = &schemas.ReplicaModels{RouteRevision: revision, NewestRevision: newest, Pending: pending, Refused: refused}
		}))
	}
	judge := func() Verdict { return b.Judge(noon, 4, []string{"v2", "v3"}) }
	v := judge()
	require.False(t, v.Settled(), "nobody is there")
	b.takes(t, process{"view", "a", noon}.said(noon, nil), process{"score", "dead", noon}.said(noon.Add(-time.Minute), func(r *schemas.Replica) {
		r.Models = &schemas.ReplicaModels{}
	}))
	v = judge()
	require.False(t, v.Settled(), "what serves no models, or is gone, does not count")

	serves("a", 4, 4, "")
	serves("b", 5, 5, "")
	v = judge()
	require.True(t, v.Settled())
	require.Equal(t, Verdict{Serving: []string{"score/a", "score/b"}}, v)

	serves("c", 3, 3, "")
	serves("d", 3, 4, "model v3 is not among the released ones yet", schemas.Refusal{ModelVersion: "v1", Reason: "of long ago"})
	serves("e", 3, 4, "")
	serves("f", -1, 3, "", schemas.Refusal{ModelVersion: "v2", Reason: "it has not read this route"})
	v = judge()
	require.False(t, v.Settled())
	require.Equal(t, []Waiting{
		{"score/c", "it has read routes up to revision 3"},
		{"score/d", "model v3 is not among the released ones yet"},
		{"score/e", "it is opening the models"},
		{"score/f", "it has read routes up to revision 3"},
	}, v.Waiting)
	for _, instance := range []string{"c", "d", "e", "f"} {
		serves(instance, 3, 4, "route revision 4 waits", schemas.Refusal{ModelVersion: "v2", Reason: "checksum error"})
	}
	v = judge()
	require.True(t, v.Settled())
	require.Len(t, v.Refusing, 4)
	require.Equal(t, Refusing{"score/c", "v2", "checksum error"}, v.Refusing[0])
}

func TestBoard_SaysWhoHasLoadedAVersion(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	serves := func(instance string, seen time.Time, m *schemas.ReplicaModels) {
		b.takes(t, process{"score", instance, noon}.said(seen, func(r *schemas.Replica) { r.Models = m }))
	}
	serves("a", noon, &schemas.ReplicaModels{Champion: "v1", Canary: "v2"})
	serves("b", noon, &schemas.ReplicaModels{Champion: "v1", Canary: "v1", Shadow: "v3"})
	serves("c", noon, &schemas.ReplicaModels{Champion: "v4", Shadow: "v4"})
	serves("gone", noon.Add(-time.Minute), &schemas.ReplicaModels{Champion: "v1"})
	b.takes(t, process{"view", "a", noon}.said(noon, nil))
	loaded := b.Loaded(noon)
	require.Equal(t, []string{"score/a", "score/b"}, loaded["v1"])
	require.Equal(t, []string{"score/a"}, loaded["v2"])
	require.Equal(t, []string{"score/b"}, loaded["v3"])
	require.Equal(t, []string{"score/c"}, loaded["v4"], "once, though between the two there is no canary")
	require.NotContains(t, loaded, "")
}
