package producer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// replay reads applicants from a CSV file, once or again and again. It keeps
// one row in memory.
//
// The id is the prefix and the ID column as the file has it ("A-123"), or the
// row's number in at least six digits where there is no such column; an
// application_id column is taken without the prefix. From the second pass on "."
// and the pass follow ("A-123.2").
type replay struct {
	path   string
	loop   bool
	prefix string

	file    *os.File
	rows    *csv.Reader
	bound   *boundedRows
	columns columns
	held    []string // a row that was read to see whether it is a header
	line    int      // of the last row; 0 before the first
	row     uint64   // rows read in this pass
	pass    uint64   // from 1
	id      []byte
}

// RowError is what is wrong with a CSV file, and where.
type RowError struct {
	File   string
	Line   int
	Column string // "" when the row as a whole is wrong
	Value  string
	Rule   string
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s line %d: %s", e.File, e.Line, e.Rule)
	}
	return fmt.Sprintf("%s line %d, column %s: %q: %s", e.File, e.Line, e.Column, e.Value, e.Rule)
}

// openReplay opens the file and reads its header.
func openReplay(path, prefix string, loop bool) (*replay, error) {
	r := &replay{path: path, loop: loop, prefix: prefix}
	if err := r.rewind(); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the file.
func (r *replay) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// hasLabel says whether the file knows who defaulted.
func (r *replay) hasLabel() bool { return r.columns.label >= 0 }

// rewind begins the next pass.
func (r *replay) rewind() error {
	if err := r.Close(); err != nil {
		return err
	}
	file, err := os.Open(r.path)
	if err != nil {
		r.file = nil
		return err
	}
	r.file = file
	r.bound = newBoundedRows(file)
	in := bufio.NewReaderSize(r.bound, lookahead)
	start, err := in.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	const byteOrderMark = "\xef\xbb\xbf"
	if strings.HasPrefix(string(start), byteOrderMark) {
		_, _ = in.Discard(len(byteOrderMark)) // has been peeked at
		start = start[len(byteOrderMark):]
	}
	r.rows = csv.NewReader(in)
	r.rows.ReuseRecord = true
	if first, _, _ := strings.Cut(string(start), "\n"); !strings.Contains(first, ",") && strings.Contains(first, ";") {
		r.rows.Comma = ';'
	}
	r.row, r.line = 0, 0
	r.pass++
	return r.readColumns()
}

// readColumns reads the header. A file converted from the UCI spreadsheet has
// two: X1, X2, … above, the names below.
func (r *replay) readColumns() error {
	names, err := r.readRow()
	if errors.Is(err, io.EOF) {
		return &RowError{File: r.path, Line: 1, Rule: "the file is empty: must begin with column names (ID, LIMIT_BAL, SEX, …)"}
	}
	if err != nil {
		return err
	}
	names = slices.Clone(names)
	columns, ok, err := readHeader(names)
	if err != nil {
		return &RowError{File: r.path, Line: r.line, Rule: err.Error()}
	}
	if !ok {
		return &RowError{File: r.path, Line: r.line, Rule: fmt.Sprintf("%.80q holds no known column name: must begin with column names (ID, LIMIT_BAL, SEX, …)", strings.Join(names, ","))}
	}
	r.columns = columns
	if columnKey(columns.names[0]) != "x1" {
		return nil
	}
	second, err := r.read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	second = slices.Clone(second)
	named, ok, err := readHeader(second)
	if err != nil {
		return &RowError{File: r.path, Line: r.line, Rule: err.Error()}
	}
	if ok {
		r.columns = named
	} else {
		r.held = second
	}
	return nil
}

// read is the row that is held, or the next.
func (r *replay) read() ([]string, error) {
	if row := r.held; row != nil {
		r.held = nil
		return row, nil
	}
	return r.readRow()
}

// readRow reads a row of at most maxRow bytes and notes its line; io.EOF after the last.
func (r *replay) readRow() ([]string, error) {
	before := r.rows.InputOffset()
	r.bound.next()
	row, err := r.rows.Read()
	switch {
	case r.bound.exceeded || r.rows.InputOffset()-before > maxRow:
		which := "the row after this line"
		if r.line == 0 {
			which = "the file's first row"
		}
		rule := fmt.Sprintf("%s exceeds %d bytes: a line must end, and so must a quoted field", which, maxRow)
		return nil, &RowError{File: r.path, Line: max(1, r.line), Rule: rule}
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, r.malformed(err, row)
	}
	r.line, _ = r.rows.FieldPos(0)
	return row, nil
}

// skip passes over n rows, whole passes of a looped file at once. All rows of a
// file may be passed over, to go on with one that was at its end.
func (r *replay) skip(n uint64) error {
	for start := n; n > 0; {
		_, err := r.read()
		switch {
		case err == nil:
			r.row++
			n--
		case !errors.Is(err, io.EOF):
			return err
		case r.row == 0:
			return nil // next says so
		case !r.loop:
			return fmt.Errorf("start %d: %s has only %d rows", start, r.path, r.row)
		default:
			r.pass += n / r.row
			n %= r.row
			if err := r.rewind(); err != nil {
				return err
			}
		}
	}
	return nil
}

// next reads a row, from the first again at the end of a looped file.
func (r *replay) next(a *applicant, _ uint64, _ weather) error {
	row, err := r.read()
	if errors.Is(err, io.EOF) {
		if r.row == 0 {
			return &RowError{File: r.path, Line: 2, Rule: "the file holds no row below its column names"}
		}
		if !r.loop {
			return io.EOF
		}
		if err := r.rewind(); err != nil {
			return err
		}
		row, err = r.read()
	}
	if err != nil {
		return err
	}
	r.row++
	return r.parse(a, row)
}

func (r *replay) parse(a *applicant, row []string) error {
	c := &r.columns
	if err := r.requireRow(row); err != nil {
		return err
	}
	for f, at := range c.features {
		v, rule := parseFeature(row[at], &schemas.FeatureRules[f])
		if rule != "" {
			return r.wrong(c.names[f], row[at], rule)
		}
		a.features[f] = v
	}
	a.fate = unknown
	if c.label >= 0 {
		v, rule := parseFeature(row[c.label], &schemas.FeatureRule{Min: 0, Max: 1})
		switch {
		case rule != "":
			return r.wrong(c.labelAs, row[c.label], rule)
		case v != schemas.Missing:
			a.fate = int8(v)
		}
	}
	r.id = r.appendID(r.id[:0], row)
	if !validID(r.id) {
		return r.wrong(c.idAs, row[c.id], fmt.Sprintf("the id %.140q must be 1 … %d bytes of UTF-8 without control characters", r.id, schemas.MaxApplicationID))
	}
	a.id = r.id
	return nil
}

// requireRow refuses a row that is of nobody: without an id, or without anything but
// one. An applicant of whom nothing is known says so ("NA"), or has another column filled in.
func (r *replay) requireRow(row []string) error {
	if isBlank(row...) {
		return r.emptyRow()
	}
	// A whole id of blanks is one that the contract allows: an export holds it as it came.
	at := r.columns.id
	if at >= 0 && (row[at] == "" || !r.columns.wholeID && isBlank(row[at])) {
		return r.wrong(r.columns.idAs, row[at], "is empty, and every row needs an id: fill it in, or delete the row")
	}
	for i, field := range row {
		if i != at && !isBlank(field) {
			return nil
		}
	}
	return r.wrong(r.columns.idAs, row[at], "the row has an id and nothing else: delete it, or write NA where a value is missing")
}

// emptyRow is what is wrong with a row in which nothing stands, which is what a
// spreadsheet writes of rows whose cells were cleared.
func (r *replay) emptyRow() error {
	name := r.columns.names[0]
	if r.columns.id >= 0 {
		name = r.columns.idAs
	}
	return r.wrong(name, "", "the row is empty: delete the whole row, clearing its cells is not enough")
}

// isBlank says that nothing stands in any of these fields.
func isBlank(fields ...string) bool {
	return !slices.ContainsFunc(fields, func(field string) bool { return strings.TrimSpace(field) != "" })
}

func (r *replay) appendID(dst []byte, row []string) []byte {
	switch {
	case r.columns.id < 0:
		dst = appendPadded(append(dst, r.prefix...), r.row, 6)
	case r.columns.wholeID:
		dst = append(dst, row[r.columns.id]...)
	default:
		dst = append(append(dst, r.prefix...), row[r.columns.id]...)
	}
	if r.pass > 1 && len(dst) > 0 {
		dst = append(dst, '.')
		dst = strconv.AppendUint(dst, r.pass, 10)
	}
	return dst
}

// parseFeature reads a whole number within a rule's bounds, in any notation
// ("500000", "5e+05", "24.0"); what stands for nothing is missing. rule is what
// was expected of a text that is neither.
func parseFeature(text string, r *schemas.FeatureRule) (v int32, rule string) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		text = strings.TrimSpace(text)
		switch strings.ToLower(text) {
		case "", "na", "n/a", "nan", "null":
			return schemas.Missing, ""
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return 0, fmt.Sprintf("must be a whole number %d … %d", r.Min, r.Max)
		}
		n = int64(x)
	}
	if n < int64(r.Min) || n > int64(r.Max) {
		return 0, fmt.Sprintf("must be %d … %d", r.Min, r.Max)
	}
	return int32(n), ""
}

func (r *replay) wrong(column, value, rule string) error {
	if len(value) > 40 {
		value = strings.ToValidUTF8(value[:40], "") + "…"
	}
	return &RowError{File: r.path, Line: r.line, Column: column, Value: value, Rule: rule}
}

// malformed says what is wrong with a row that is none of CSV, or of another width.
func (r *replay) malformed(err error, row []string) error {
	parse, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	at := &RowError{File: r.path, Line: parse.Line, Rule: parse.Err.Error()}
	switch {
	case errors.Is(err, csv.ErrFieldCount) && isBlank(row...):
		r.line = parse.StartLine
		return r.emptyRow()
	case errors.Is(err, csv.ErrFieldCount):
		at.Rule = fmt.Sprintf("the row has %s, expected %d: one for each column name, with %q between them", counted(len(row), "field"), r.rows.FieldsPerRecord, string(r.rows.Comma))
	case errors.Is(err, csv.ErrBareQuote):
		at.Rule = `a field that does not begin with a quote (") has one inside: put the whole field in quotes and write "" for the one inside`
	case errors.Is(err, csv.ErrQuote):
		at.Line = parse.StartLine // it is noticed at the next quote, or at the end of the file
		at.Rule = `a field in quotes (") does not end with one: close it, and write "" for a quote inside`
	}
	return at
}

// counted is "1 field" or "2 fields".
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
