package producer

import (
	"iter"

	"github.com/creditstream/creditstream/schemas"
)

// Applicants draws n applicants of a population in which nothing changes: what
// the scenario steady emits under the same seed. The features are valid until
// the next ones are asked for.
func Applicants(p *Population, seed uint64, n int) iter.Seq[*schemas.Features] {
	return func(yield func(*schemas.Features) bool) {
		g := newGenerator(p, seed, DefaultIDPrefix)
		var f schemas.Features
		for i := range n {
			g.draw(uint64(i), weather{}, &f)
			if !yield(&f) {
				return
			}
		}
	}
}
