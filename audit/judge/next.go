package judge

import (
	"fmt"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// The roles of a candidate.
const (
	roleCanary = "canary"
	roleShadow = "shadow"
)

// Candidate is whom a verdict on a route is about: the role asked for, and where none is
// the canary before the shadow. ok is false where the route has no such candidate.
func Candidate(route *schemas.Route, asked string) (role string, ok bool) {
	switch {
	case route.Canary != nil && (asked == "" || asked == roleCanary):
		return roleCanary, true
	case route.Shadow != nil && (asked == "" || asked == roleShadow):
		return roleShadow, true
	}
	return "", false
}

// firstShare is the share, of model.ShareScale, with which a promoted shadow begins to
// decide.
const firstShare = model.ShareScale / 10

// Step carries a judgement out: one change of the route that was judged, and nothing
// else.
type Step struct {
	Does        string
	Champion    string // becomes champion; "": it stays
	Canary      string // becomes canary; "": it stays
	CanaryShare uint64 // of model.ShareScale
	NoCanary    bool   // the canary ends
	NoShadow    bool   // the shadow ends
}

// Next is what carries the judgement of a route's candidate out, nil where the verdict
// is to hold. It takes a candidate off the route, and never back to an earlier one: the
// champion is healthy.
func (j *Judgement) Next(route *schemas.Route) *Step {
	isCanary := j.Role == roleCanary
	switch {
	case j.Verdict == RollBack && isCanary:
		return &Step{Does: "the canary ends, the champion stays", NoCanary: true}
	case j.Verdict == RollBack:
		return &Step{Does: "the shadow ends, the champion stays", NoShadow: true}
	case j.Verdict == Promote && isCanary:
		return &Step{Does: "the canary becomes champion", Champion: j.ModelVersion}
	case j.Verdict == Promote:
		does := "the shadow becomes canary"
		if route.Canary != nil {
			does += fmt.Sprintf(" in place of %s, which is better decided on first", route.Canary.ModelVersion)
		}
		return &Step{Does: does, Canary: j.ModelVersion, CanaryShare: firstShare}
	}
	return nil
}
