package dataset

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// Label is the column that says whether the loan defaulted.
const Label = "default"

// Columns are the names of a training file's columns: what identifies and decided
// the application, the contract's features, the label.
func Columns() []string {
	names := []string{"application_id", "applied_at", "decided_at", "model_version", "default_probability", "decision"}
	for i := range schemas.FeatureRules {
		names = append(names, schemas.FeatureRules[i].Name)
	}
	return append(names, Label)
}

// Writer writes training data as CSV (RFC 4180, lines end with a line feed). A
// missing feature and an unknown outcome are empty.
type Writer struct {
	to  *bufio.Writer
	row []byte
}

// NewWriter begins with the columns' names.
func NewWriter(w io.Writer) (*Writer, error) {
	to := bufio.NewWriterSize(w, 64<<10)
	_, err := to.WriteString(strings.Join(Columns(), ",") + "\n")
	return &Writer{to: to}, err
}

// Write writes a row.
func (w *Writer) Write(p *schemas.Prediction, defaulted int8) error {
	b := appendText(w.row[:0], p.ApplicationID)
	for _, t := range [...]schemas.Timestamp{p.AppliedAt, p.DecidedAt} {
		b = append(append(b, ','), t.String()...)
	}
	b = appendText(append(b, ','), p.ModelVersion)
	b = strconv.AppendFloat(append(b, ','), float64(p.DefaultProbability), 'g', -1, 32)
	b = appendText(append(b, ','), p.Decision)
	for _, v := range p.Features {
		if b = append(b, ','); v != schemas.Missing {
			b = strconv.AppendInt(b, int64(v), 10)
		}
	}
	if b = append(b, ','); defaulted != Unknown {
		b = strconv.AppendInt(b, int64(defaulted), 10)
	}
	b = append(b, '\n')
	w.row = b
	_, err := w.to.Write(b)
	return err
}

// Flush writes what is still held.
func (w *Writer) Flush() error { return w.to.Flush() }

// appendText appends a field, in quotes where it could be taken for something else.
func appendText(dst []byte, text string) []byte {
	if text != "" && !strings.ContainsAny(text, "\",;\r\n") && strings.TrimSpace(text) == text {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(text, `"`, `""`)...)
	return append(dst, '"')
}
