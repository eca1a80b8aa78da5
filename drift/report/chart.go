package report

import (
	"strconv"

	"github.com/creditstream/creditstream/drift/statistic"
)

// Size of a chart, in its own units; the page scales it.
const (
	chartWidth  = 200.0
	chartHeight = 40.0
	// mostBars fit; finer bins, as those of scores, are put together.
	mostBars = 48
)

// chart is a distribution drawn over another: the reference as an area, the
// current one as a line.
type chart struct {
	Reference, Current string // paths of SVG; empty where nothing is counted
	Bars               []bar  // to point at; none where they have no names
}

// bar is one bin, invisible but for its words.
type bar struct {
	X, Width           float64
	Name               string
	Reference, Current float64 // shares
}

// newChart draws two distributions over the same bins. names may be nil.
func newChart(reference, current []int64, names []string) chart {
	if len(reference) != len(current) || len(current) == 0 {
		return chart{}
	}
	from, to := trim(reference, current)
	per := (to - from + mostBars - 1) / mostBars
	ref, cur := shares(reference, from, to, per), shares(current, from, to, per)
	most := 0.0
	for i := range ref {
		most = max(most, ref[i], cur[i])
	}
	if most == 0 {
		return chart{}
	}
	c := chart{Reference: steps(ref, most, true), Current: steps(cur, most, false)}
	if names == nil {
		return c
	}
	width := chartWidth / float64(len(ref))
	for i := range ref {
		first, last := from+i*per, min(from+(i+1)*per, to)-1
		name := names[first]
		if last > first {
			name += " to " + names[last]
		}
		c.Bars = append(c.Bars, bar{X: round(float64(i) * width), Width: round(width), Name: name, Reference: ref[i], Current: cur[i]})
	}
	return c
}

// trim leaves out the bins at both ends that neither has anything in: scores have
// many. What is left is from … to, to excluded, and at least one bin.
func trim(a, b []int64) (from, to int) {
	to = len(a)
	for to > from+1 && a[to-1] == 0 && b[to-1] == 0 {
		to--
	}
	for from < to-1 && a[from] == 0 && b[from] == 0 {
		from++
	}
	return from, to
}

// shares are those of bins from … to, per of them together, of everything counted.
func shares(counts []int64, from, to, per int) []float64 {
	total := statistic.Sum(counts)
	out := make([]float64, (to-from+per-1)/per)
	for i := from; i < to && total > 0; i++ {
		out[(i-from)/per] += float64(counts[i]) / float64(total)
	}
	return out
}

// steps is a path along the tops of the bars, closed along the bottom as an area.
func steps(heights []float64, most float64, closed bool) string {
	width := chartWidth / float64(len(heights))
	path := []byte("M0 ")
	path = appendRounded(path, chartHeight)
	for i, h := range heights {
		path = appendRounded(append(path, 'V'), chartHeight*(1-h/most))
		path = appendRounded(append(path, 'H'), float64(i+1)*width)
	}
	path = appendRounded(append(path, 'V'), chartHeight)
	if closed {
		path = append(path, 'Z')
	}
	return string(path)
}

// round keeps the page small: a tenth of a unit is not seen.
func round(v float64) float64 {
	r, _ := strconv.ParseFloat(string(appendRounded(nil, v)), 64) // was just written
	return r
}

func appendRounded(dst []byte, v float64) []byte {
	dst = strconv.AppendFloat(dst, v, 'f', 1, 64)
	if n := len(dst); n > 1 && string(dst[n-2:]) == ".0" {
		dst = dst[:n-2]
	}
	return dst
}
