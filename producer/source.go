package producer

import (
	"io"

	"github.com/creditstream/creditstream/schemas"
)

// Fates of an applicant.
const (
	repays   int8 = 0
	defaults int8 = 1
	unknown  int8 = -1 // no label
)

// applicant is one application before it is handed in.
type applicant struct {
	id       []byte // valid until the next one is asked for
	features schemas.Features
	fate     int8
}

// source hands out applicants, each with its number in the stream.
type source interface {
	// next fills a with the applicant; io.EOF after the last. w is the scenario's
	// state.
	next(a *applicant, n uint64, w weather) error
	io.Closer
}

// synthetic draws applicants from a population; it never ends.
type synthetic struct {
	*generator
	id []byte
}

func (s *synthetic) next(a *applicant, n uint64, w weather) error {
	s.id = s.appendID(s.id[:0], n)
	a.id = s.id
	a.fate = int8(s.draw(n, w, &a.features))
	return nil
}

func (*synthetic) Close() error { return nil }
