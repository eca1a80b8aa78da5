package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table is shown as Markdown, so that it can be read and published as it is. Its
// first column is text, the others are numbers.
type Table struct {
	Header []string
	rows   [][]string
}

// Add appends a row, as many cells as the header has.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Write shows the table.
func (t *Table) Write(w io.Writer) {
	width := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprint(w, "| ", cell, gap)
			} else {
				fmt.Fprint(w, " | ", gap, cell)
			}
		}
		fmt.Fprintln(w, " |")
	}
	line(t.Header)
	for i, n := range width {
		if i == 0 {
			fmt.Fprint(w, "|", strings.Repeat("-", n+2))
		} else {
			fmt.Fprint(w, "|", strings.Repeat("-", n+1), ":")
		}
	}
	fmt.Fprintln(w, "|")
	for _, row := range t.rows {
		line(row)
	}
}

// Number is a figure with three digits, or all of a whole number's, in groups of
// three.
func Number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v == 0:
		return "0"
	case math.Abs(v) < 100:
		return strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Save writes figures as JSON, for whoever draws or compares them.
func Save(path string, figures any) error {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
