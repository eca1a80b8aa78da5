// Package release carries models and routes over their topics: it writes
// bundles and routes, and follows both into the live set that every replica
// serves.
package release

import (
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// ShareScale is the denominator of a canary's share.
const ShareScale = 10_000

// LiveSet is what serves at one moment: immutable, one snapshot per transaction
// or request.
type LiveSet struct {
	Champion    *model.Model
	Canary      *model.Model // nil without one
	CanaryShare uint64       // of ShareScale
	Shadow      *model.Model // nil without one
	Policy      *schemas.Policy
	Revision    int64 // offset of the route record, -1 where none serves
}
