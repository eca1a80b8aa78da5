package evaluate

import (
	"sync"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
)

// Serving is Config.Champion over a live set: the champion that serves at the
// moment. digest names a reference as panes do.
func Serving(live func() *release.LiveSet, digest func(*model.Reference) string) func() *Champion {
	var (
		mu   sync.Mutex // guards what follows
		last *release.LiveSet
		c    *Champion
	)
	return func() *Champion {
		now := live()
		mu.Lock()
		defer mu.Unlock()
		if now == nil || now == last {
			return c
		}
		last = now
		c = &Champion{
			ModelVersion: now.Champion.Version, Digest: digest(now.Champion.Reference), Reference: now.Champion.Reference, Policy: now.Policy,
		}
		return c
	}
}
