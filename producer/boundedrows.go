package producer

import (
	"errors"
	"io"
)

// maxRow bounds one row of a CSV file, in bytes: a line without an end, or a
// quote that nothing closes, takes no more memory than a few of these.
const maxRow = 1 << 20

// lookahead is what is read from the file at once.
const lookahead = 64 << 10

// boundedRows reads from a file no more than is left for the row at hand.
type boundedRows struct {
	from     io.Reader
	left     int
	exceeded bool
}

func newBoundedRows(from io.Reader) *boundedRows {
	b := &boundedRows{from: from}
	b.next()
	return b
}

// next makes room for another row.
func (b *boundedRows) next() { b.left = maxRow + lookahead }

// Read is part of io.Reader.
func (b *boundedRows) Read(dst []byte) (int, error) {
	if b.left <= 0 {
		b.exceeded = true
		return 0, errRowBound
	}
	n, err := b.from.Read(dst[:min(len(dst), b.left)])
	b.left -= n
	return n, err
}

// errRowBound never leaves replay, which says what it means.
var errRowBound = errors.New("the row is too long")
