package counting

import (
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// Claim is an outcome that looks for its decision: the last on its application that
// was made at or before Observed and appended before the outcome was.
type Claim struct {
	ApplicationID string
	Outcome       string // which one: log/partition/offset
	Observed      schemas.Timestamp
	Appended      time.Time // when the log took the outcome
}

// ClaimState is what became of a claim.
type ClaimState int

// States of a claim.
const (
	Unknown  ClaimState = iota // nothing had been decided about the application when the outcome was appended
	Matched                    // the first outcome of its decision
	Repeated                   // another outcome was first
	Before                     // observed before every decision on the application
	TooOld                     // of a decision that is not kept any more: later ones are
)

// Claimed is the answer to a claim, and when it matched what was decided.
type Claimed struct {
	State        ClaimState
	Probability  float64
	ModelVersion string
	Declined     bool // no loan was granted by this decision
}
