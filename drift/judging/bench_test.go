package judging

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/schemas"
)

// testSettings wait for nothing but decisions.
var testSettings = Settings{Quiet: 5 * time.Minute, Fairness: FourFifths}

// bench folds panes into a judge by hand.
type bench struct {
	t     *testing.T
	city  *drifttest.City
	judge *judge
	views []*view
	told  []string // "state alert"
	all   []schemas.Alert
	n     int64
}

func newBench(t *testing.T, seed uint64) *bench {
	c := drifttest.ShippedChampion(t)
	b := &bench{t: t, city: drifttest.NewCity(c, seed), judge: newJudge(testSettings, c)}
	windows, err := ParseWindows(DefaultWindows)
	require.NoError(t, err)
	for _, w := range windows {
		b.views = append(b.views, newView(w, c))
	}
	return b
}

func (b *bench) fold(p *drift.Pane) {
	now := b.city.At
	if p.Decisions > 0 {
		for _, v := range b.views {
			v.add(p, b.n, now)
		}
	}
	told, known := b.judge.fold(p, b.n, now, now)
	require.True(b.t, known)
	b.n++
	b.hear(told)
}

func (b *bench) hear(told []schemas.Alert) {
	for _, a := range told {
		b.told, b.all = append(b.told, a.State+" "+a.Alert), append(b.all, a)
	}
}

// blocks folds n blocks of decisions in panes of a hundred.
func (b *bench) blocks(n int) {
	for range 5 * n {
		b.fold(b.city.Pane(100))
	}
}

func (b *bench) status() *drift.Status { return b.judge.status(b.views, b.city.At) }
