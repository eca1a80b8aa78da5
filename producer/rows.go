package producer

import "github.com/creditstream/creditstream/schemas"

// Rows reads the applicants of a CSV file in the columns that Config.File takes,
// once.
type Rows struct {
	replay *replay
	one    applicant
}

// OpenRows opens the file and reads its column names. Ids are what Produce would
// give them with the same prefix.
func OpenRows(path, idPrefix string) (*Rows, error) {
	r, err := openReplay(path, idPrefix, false)
	if err != nil {
		return nil, err
	}
	return &Rows{replay: r}, nil
}

// Next fills in the next applicant's id and features; io.EOF after the last. Any
// other error is a *RowError, or the file's.
func (r *Rows) Next(a *schemas.Application) error {
	if err := r.replay.next(&r.one, 0, weather{}); err != nil {
		return err
	}
	a.ApplicationID, a.Features = string(r.one.id), r.one.features
	return nil
}

// HasLabel says whether the file has a column that says who defaulted.
func (r *Rows) HasLabel() bool { return r.replay.hasLabel() }

// Defaulted is the label of the row that Next read last: 1 defaulted, 0 did not, -1
// where the file does not say.
func (r *Rows) Defaulted() int8 { return r.one.fate }

// Close closes the file.
func (r *Rows) Close() error { return r.replay.Close() }
