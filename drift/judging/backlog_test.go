package judging

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/schemas"
)

// live are testSettings with the time that a block takes as it is by default.
var live = Settings{BlockTime: defaultBlockTime, Quiet: 5 * time.Minute, Fairness: FourFifths}

// appendedAt folds panes as if the log had taken them at one moment.
func (b *bench) appendedAt(moment schemas.Timestamp, panes ...*drift.Pane) {
	for _, p := range panes {
		told, known := b.judge.fold(p, b.n, moment, moment)
		require.True(b.t, known)
		b.n++
		b.hear(told)
	}
}

func TestABurstBeforeSilenceIsJudged(t *testing.T) {
	t.Parallel()
	b := newBench(t, 50)
	b.judge.settings = live
	b.city.Move("pay_0", 3)
	for range 2 {
		p := b.city.Pane(5000)
		b.appendedAt(b.city.At, p)
	}
	last := b.city.At
	require.Empty(t, b.judge.past)
	_, closed := b.judge.rest(last + micros(defaultBlockTime) - 1)
	require.False(t, closed, "more of it may come")
	told, closed := b.judge.rest(last + micros(defaultBlockTime))
	require.True(t, closed)
	b.hear(told)
	require.Equal(t, []string{"firing drift/pay_0"}, b.told)
	require.Equal(t, int64(10_000), b.all[0].Window.Decisions)
	_, closed = b.judge.rest(last + micros(time.Hour))
	require.False(t, closed, "nothing came since")
}

// Fewer than a block has are no ground to judge on, however long nothing comes.
func TestLessThanABlockWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, 51)
	b.judge.settings = live
	b.city.Move("pay_0", 3)
	few, one := b.city.Pane(sequential.BlockSize-1), b.city.Pane(1)
	b.appendedAt(b.city.At, few)
	_, closed := b.judge.rest(b.city.At + micros(time.Hour))
	require.False(t, closed)
	b.appendedAt(b.city.At+micros(time.Hour), one)
	require.Len(t, b.judge.past, 1)
	require.Equal(t, int64(sequential.BlockSize), b.judge.past[0].Decisions, "it was kept")
}

// What the log takes at one moment is judged as if it
// had come when it was decided.
func TestABacklogIsJudgedInBlocks(t *testing.T) {
	t.Parallel()
	for name, partitions := range map[string]int32{"one partition": 1, "several, one behind the other": 4} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 52)
			b.judge.settings = live
			b.judge.settings.MinFiring = 20 * time.Second
			for p := range partitions {
				pane := b.city.Pane(100)
				pane.Partition = p
				b.appendedAt(b.city.At, pane)
			}
			began := b.city.At
			var backlog []*drift.Pane
			seconds := func(n int) {
				for range n {
					at := b.city.At
					for p := range partitions {
						b.city.At = at
						pane := b.city.Pane(1000)
						pane.Partition = p
						backlog = append(backlog, pane)
					}
				}
			}
			seconds(20)
			b.city.Move("pay_0", 3)
			seconds(20)
			back := b.city.At
			b.city.Move("pay_0", 0)
			seconds(40)
			if partitions > 1 { // replicas that catch up at once take turns
				slices.SortStableFunc(backlog, func(x, y *drift.Pane) int {
					turn := func(p *drift.Pane) int64 { return int64(p.Bucket-began) / 10e6 }
					if c := turn(x) - turn(y); c != 0 {
						return int(c)
					}
					return int(x.Partition - y.Partition)
				})
			}
			b.appendedAt(b.city.At, backlog...)
			require.Equal(t, []string{"firing drift/pay_0", "resolved drift/pay_0"}, b.told)
			require.Len(t, b.judge.past, 16)
			for _, s := range b.judge.past {
				require.LessOrEqual(t, s.Decisions, 2*5*1000*int64(partitions))
			}
			fired := b.all[0].Window
			require.LessOrEqual(t, fired.From, back)
			require.GreaterOrEqual(t, fired.To, back-20e6)
			require.LessOrEqual(t, fired.To, back, "it fired within what had moved, not with all of the backlog")
		})
	}
}

// With many partitions, whose panes do not come at the same moment, a block takes
// its time as with one.
func TestPartitionsDoNotMakeBlocksShorter(t *testing.T) {
	t.Parallel()
	const partitions, seconds = 12, 200
	b := newBench(t, 53)
	b.judge.settings = live
	template, blocks := b.city.Pane(600), 0
	for second := range seconds {
		for p := range partitions {
			pane := *template
			pane.Partition, pane.Width = int32(p), 5
			moment := drifttest.Noon + schemas.Timestamp(second*1e6+p*70_000)
			pane.Bucket = moment / 5e6 * 5e6
			before := b.judge.block
			b.appendedAt(moment, &pane)
			if b.judge.block != before {
				blocks++
			}
		}
	}
	require.InDelta(t, seconds/5, blocks, 2)
}

func TestALateDecisionMovesNoClock(t *testing.T) {
	t.Parallel()
	c := clocks{}
	move := func(partition int32, bucket, appended schemas.Timestamp) int64 {
		return c.move(&drift.Pane{Partition: partition, Bucket: bucket}, appended)
	}
	require.Zero(t, move(1, 100, 1000), "the first says nothing")
	require.EqualValues(t, 50, move(1, 150, 1000))
	require.Zero(t, move(1, 20, 1000))
	require.Zero(t, move(2, 500, 1000))
	require.EqualValues(t, 850, move(1, 9999, 1000), "as far as the log's clock")
	require.EqualValues(t, 1, move(1, 1001, 1001))
	for p := range int32(2 * mostClocks) {
		move(p, 1, 1)
	}
	require.Len(t, c, mostClocks)
}

// What an evaluator knows of a backlog's time goes over to the next one.
func TestStoppingWithinABacklogChangesNothing(t *testing.T) {
	t.Parallel()
	tell := func(stop bool) (spans []blockSpan) {
		b := newBench(t, 54)
		b.judge.settings = live
		for range 60 {
			p := b.city.Pane(300)
			b.appendedAt(drifttest.Noon+micros(time.Hour), p)
			if !stop {
				continue
			}
			header, err := b.judge.snapshot(0).pack()
			require.NoError(t, err)
			state, err := UnpackState(header)
			require.NoError(t, err)
			b.judge, _ = resume(live, drifttest.ShippedChampion(t), state, b.status().Alerts, b.city.At)
		}
		return b.judge.past
	}
	whole := tell(false)
	require.Len(t, whole, 11)
	require.Equal(t, whole, tell(true))
}

// Whatever a record on the topic of panes says, the status can be written, and an
// evaluator can go on from it.
func FuzzPane(f *testing.F) {
	champion := drifttest.ShippedChampion(f)
	city := drifttest.NewCity(champion, 1)
	for _, p := range []*drift.Pane{city.Pane(20), city.Pane(600), city.Loans(700, func(p float64) float64 { return p })} {
		value, err := drift.AppendPane(nil, p)
		require.NoError(f, err)
		f.Add(value)
	}
	f.Add([]byte(`{"topic":"outcomes","read":4,"matched":4,"outcomes":[{"model_version":"v","loans":-5,"defaulted":9},{"model_version":"v","loans":9}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := drift.DecodePane(value)
		if err != nil {
			return
		}
		j := newJudge(testSettings, champion)
		var views []*view
		for _, w := range []Window{{Name: "1000", Decisions: 1000}, {Name: "1h", Time: time.Hour}} {
			views = append(views, newView(w, champion))
		}
		for i := range 3 {
			for _, v := range views {
				if p.Decisions > 0 {
					v.add(p, int64(i), drifttest.Noon)
				}
			}
			j.fold(p, int64(i), drifttest.Noon, drifttest.Noon)
		}
		j.closeBlock(drifttest.Noon)
		text, err := json.Marshal(j.status(views, drifttest.Noon))
		require.NoError(t, err)
		header, err := j.snapshot(0).pack()
		require.NoError(t, err)
		state, err := UnpackState(header)
		require.NoError(t, err)
		var kept drift.Status
		require.NoError(t, json.Unmarshal(text, &kept))
		again, _ := resume(testSettings, champion, state, kept.Alerts, drifttest.Noon)
		_, err = json.Marshal(again.status(views, drifttest.Noon))
		require.NoError(t, err)
	})
}
