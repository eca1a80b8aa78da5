package judging

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/drift/drifttest"
	"github.com/creditstream/creditstream/schemas"
)

func TestWindowsAreReadInOrder(t *testing.T) {
	t.Parallel()
	windows, err := ParseWindows("24h, 10000,1h,1000")
	require.NoError(t, err)
	require.Equal(t, []Window{
		{Name: "1000", Decisions: 1000}, {Name: "10000", Decisions: 10_000},
		{Name: "1h", Time: time.Hour}, {Name: "24h", Time: 24 * time.Hour},
	}, windows)
}

func TestWindowsThatCannotBeAreNamed(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		_, err := ParseWindows(text)
		require.ErrorContains(t, err, want)
	}
	f("", `window "": expected a number`)
	f("x", `window "x"`)
	f("50", "expected 100 …")
	f("48h", "expected 10s … 24h")
	f("1s", "expected 10s")
	f("1h,1h", `"1h" is named twice`)
	f("-1h", `"-1h"`)
}

// At least so many once there are, and less than a fiftieth and one pane more, however
// large panes are.
func TestCountWindow_KeepsTheBoundThatIsSaid(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	city := drifttest.NewCity(c, 3)
	rng := rand.New(rand.NewPCG(3, 3))
	for _, most := range []int{1, 61, 700, 2500} {
		v := newView(Window{Name: "1000", Decisions: 1000}, c)
		n, largest := int64(0), int64(0)
		for i := range 40 + 6000/most {
			p := city.Pane(1 + rng.IntN(most))
			n, largest = n+p.Decisions, max(largest, p.Decisions)
			v.add(p, int64(i), city.At)
			held := v.sum(city.At).Decisions
			require.GreaterOrEqual(t, held, min(n, 1000))
			require.Less(t, held, 1000+1000/int64(countChunks)+largest)
		}
	}
}

// The fewest panes that reach the number, up to a fiftieth.
func TestCountWindowsHoldTheNewest(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	city := drifttest.NewCity(c, 1)
	v := newView(Window{Name: "1000", Decisions: 1000}, c)
	for i := range 300 {
		v.add(city.Pane(7), int64(i), city.At)
		got := v.sum(city.At)
		if want := int64(7 * (i + 1)); want <= 1000 {
			require.Equal(t, want, got.Decisions)
			require.Zero(t, v.oldest(int64(i+1)))
			continue
		}
		require.GreaterOrEqual(t, got.Decisions, int64(1000))
		require.Less(t, got.Decisions, int64(1000+2*(1000/countChunks+7)))
		require.LessOrEqual(t, len(v.spans), countChunks+1)
		require.Equal(t, int64(i+1)-got.Decisions/7, v.oldest(int64(i+1)))
	}
	v.add(city.Pane(5000), 300, city.At)
	require.Equal(t, int64(5000), v.sum(city.At).Decisions, "one pane alone reaches it")
}

func TestTimeWindowsForgetWhatIsOld(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	city := drifttest.NewCity(c, 1)
	v := newView(Window{Name: "10m", Time: 10 * time.Minute}, c)
	for i := range 1800 { // half an hour
		v.add(city.Pane(2), int64(i), city.At)
	}
	got := v.sum(city.At)
	require.InDelta(t, 1200, got.Decisions, 10)
	require.LessOrEqual(t, len(v.spans), timeSlots+1)
	require.LessOrEqual(t, city.At-got.From, micros(10*time.Minute))
	late := city.Pane(2)
	late.Bucket -= micros(time.Hour)
	v.add(late, 1800, city.At)
	require.InDelta(t, 1200, v.sum(city.At).Decisions, 10, "what is late for the window is not in it")
	late.Bucket += micros(time.Hour - 5*time.Minute)
	before := v.sum(city.At).Decisions
	v.add(late, 1801, city.At)
	require.Equal(t, before+2, v.sum(city.At).Decisions, "what is late and belongs into it is")
	early := city.Pane(2)
	early.Bucket += micros(24 * time.Hour)
	v.add(early, 1802, city.At)
	require.LessOrEqual(t, len(v.spans), timeSlots+1, "a clock that runs ahead adds no slot")
	require.Zero(t, v.sum(city.At+micros(11*time.Minute)).Decisions, "time passes without decisions too")
}

func TestAPaneOfOtherBinsIsNotAdded(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	city := drifttest.NewCity(c, 1)
	tally := NewTally(c.Reference)
	p := city.Pane(3)
	p.Features[2].Bins = p.Features[2].Bins[1:]
	require.False(t, tally.Add(p, c))
	p = city.Pane(3)
	p.Reference = "another"
	require.False(t, tally.Add(p, c))
	require.Zero(t, tally.Decisions)
	p = city.Pane(3)
	require.True(t, tally.Add(p, c))
	require.Equal(t, p.Bucket, tally.From)
	require.Equal(t, p.Bucket+schemas.Timestamp(1e6), tally.To)
}

// Scores fall where the reference counts them, whatever their bins are called.
func TestScoresFallIntoTheReferencesBins(t *testing.T) {
	t.Parallel()
	c := drifttest.ShippedChampion(t)
	city := drifttest.NewCity(c, 2)
	tally := NewTally(c.Reference)
	tally.Add(city.Pane(20_000), c)
	for i, n := range c.Reference.Scores.Counts {
		want := float64(n) / float64(c.Reference.Rows) * 20_000
		require.InDelta(t, want, tally.Scores[i], 6*max(3, want/20), "bin %d", i)
	}
}
