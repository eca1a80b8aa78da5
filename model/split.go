package model

import (
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/creditstream/creditstream/schemas"
)

// ShareScale is the denominator of a canary's share.
const ShareScale = 10_000

// Split is how a route divides applications between its champion and its canary.
// Whoever asks which of the two an application falls to asks it. The zero value
// leaves everything to the champion.
type Split struct {
	Canary string // version
	Share  uint64 // of ShareScale
}

// SplitOf is a route's split. It fails for a share that no replica would serve.
func SplitOf(r *schemas.Route) (Split, error) {
	if r.Canary == nil {
		return Split{}, nil
	}
	share, err := shareSteps(r.Canary.Share)
	return Split{Canary: r.Canary.ModelVersion, Share: share}, err
}

// IsCanary says whether the canary decides an application: always the same answer
// for the same id and version, on every replica.
func (s *Split) IsCanary(id string) bool { return s.Share > 0 && s.Bucket(id) < s.Share }

// Bucket is where an application is between 0 and ShareScale, as far as this canary
// is concerned: it is the canary's when that is below its share.
func (s *Split) Bucket(id string) uint64 {
	var room [256]byte
	return xxhash.Sum64(append(append(append(room[:0], s.Canary...), 0), id...)) % ShareScale
}

// shareSteps is a canary's share in steps of 1/ShareScale.
func shareSteps(share float64) (uint64, error) {
	steps := math.Round(share * ShareScale)
	if !(share >= 0 && share <= 1) || math.Abs(share*ShareScale-steps) > 1e-6 {
		return 0, fmt.Errorf("canary.share %v: must be 0 … 1 in steps of 1/%d", share, ShareScale)
	}
	return uint64(steps), nil
}
