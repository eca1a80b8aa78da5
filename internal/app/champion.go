package app

import (
	"sync"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
)

// driftChampion is the champion of what serves, as an evaluator needs it; nil while
// nothing serves. The digest of a reference is worked out once.
func driftChampion(live func() *model.LiveSet) func() *drift.Champion {
	var (
		mu   sync.Mutex // guards what follows
		of   *model.LiveSet
		last *drift.Champion
	)
	return func() *drift.Champion {
		mu.Lock()
		defer mu.Unlock()
		set := live()
		if set == of {
			return last
		}
		m := set.Champion
		next := &drift.Champion{ModelVersion: m.Version, Reference: m.Reference, Policy: set.Policy}
		if last != nil && of.Champion == m {
			next.Digest = last.Digest
		} else {
			next.Digest = m.Reference.Digest()
		}
		of, last = set, next
		return next
	}
}
