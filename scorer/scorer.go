// Package scorer turns applications into explained decisions. It is pure: no
// input or output, no clock.
package scorer

import (
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

// Scorer decides applications. It keeps scratch memory, so a Scorer serves one
// goroutine at a time.
type Scorer struct{}

// New returns a Scorer.
func New() *Scorer { return &Scorer{} }

// Decide writes a prediction for every application into out, which has the same
// length and whose slices are reused. All are decided under one live set, in one
// channel, at one instant.
func (s *Scorer) Decide(set *release.LiveSet, channel string, at schemas.Timestamp, apps []schemas.Application, out []schemas.Prediction) error {
	return nil
}
