package measure

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	f := func(want float64, values ...float64) {
		t.Helper()
		require.Equal(t, want, Median(values))
	}
	f(3, 3)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
	require.True(t, math.IsNaN(Median(nil)))
}

func TestQuantileByNearestRank(t *testing.T) {
	var sorted []float64
	for i := range 100 {
		sorted = append(sorted, float64(i+1))
	}
	require.Equal(t, 50.0, Quantile(sorted, 0.5))
	require.Equal(t, 99.0, Quantile(sorted, 0.99))
	require.Equal(t, 100.0, Quantile(sorted, 1))
	require.Equal(t, 1.0, Quantile(sorted, 0))
	require.True(t, math.IsNaN(Quantile(nil, 0.5)))
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	require.Equal(t, []float64{2, 3}, Ratios([]float64{4, 9}, []float64{2, 3, 5}))
}

func TestTableIsMarkdown(t *testing.T) {
	var out strings.Builder
	table := Table{Header: []string{"what", "n"}}
	table.Add("short", "1")
	table.Add("somewhat longer", "22")
	table.Write(&out)
	require.Equal(t, "| what            |  n |\n|-----------------|---:|\n| short           |  1 |\n| somewhat longer | 22 |\n", out.String())
}

func TestNumberHasThreeDigits(t *testing.T) {
	f := func(want string, v float64) {
		t.Helper()
		require.Equal(t, want, Number(v))
	}
	f("0.123", 0.1234)
	f("1.23", 1.234)
	f("12.3", 12.34)
	f("123", 123.4)
	f("1,235", 1234.6)
	f("1,234,568", 1234567.8)
	f("0", 0)
	f("–", math.NaN())
}
