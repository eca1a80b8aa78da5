package release

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// Change is what is to be different from the route in force. What it does not name
// stays.
type Change struct {
	Champion    string // "": stays
	Canary      string // "": stays
	CanaryShare uint64 // of model.ShareScale, at least 1; 0 without a Canary
	NoCanary    bool   // the canary ends
	Shadow      string // "": stays
	NoShadow    bool   // the shadow ends
	Policy      string // text; "": stays, the default policy where there is no route yet
}

var (
	// ErrNoChange is that a change names nothing.
	ErrNoChange = errors.New("nothing to change: name a champion, a canary, a shadow or a policy")
	// ErrNoChampion is that the first route names none.
	ErrNoChampion = errors.New("there is no route yet: name its champion (--champion VERSION)")
)

// apply is the route that the change makes of the one in force, which is nil where
// there is none. A version that takes another role leaves the one it had.
func (c Change) apply(now *schemas.Route) (schemas.Route, error) {
	if c == (Change{}) {
		return schemas.Route{}, ErrNoChange
	}
	if err := c.check(); err != nil {
		return schemas.Route{}, err
	}
	next := schemas.Route{Policy: policy.DefaultText}
	if now != nil {
		next = schemas.Route{Champion: now.Champion, Canary: now.Canary, Shadow: now.Shadow, Policy: now.Policy}
	}
	if c.Champion != "" {
		next.Champion = c.Champion
	}
	if next.Champion == "" {
		return next, ErrNoChampion
	}
	if c.NoCanary || isCanary(next, next.Champion) || isCanary(next, c.Shadow) {
		next.Canary = nil
	}
	if c.NoShadow || isShadow(next, next.Champion) || isShadow(next, c.Canary) {
		next.Shadow = nil
	}
	if c.Canary != "" {
		if c.Canary == next.Champion {
			return next, fmt.Errorf("canary %s is the champion itself", c.Canary)
		}
		next.Canary = &schemas.Canary{ModelVersion: c.Canary, Share: float64(c.CanaryShare) / model.ShareScale}
	}
	if c.Shadow != "" {
		if c.Shadow == next.Champion {
			return next, fmt.Errorf("shadow %s is the champion itself", c.Shadow)
		}
		next.Shadow = &c.Shadow
	}
	if c.Policy != "" {
		next.Policy = c.Policy
	}
	return next, nil
}

// check refuses a change that contradicts itself.
func (c Change) check() error {
	switch {
	case c.Canary != "" && c.NoCanary:
		return fmt.Errorf("canary %s and no canary: expected one of them", c.Canary)
	case c.Shadow != "" && c.NoShadow:
		return fmt.Errorf("shadow %s and no shadow: expected one of them", c.Shadow)
	case c.Canary != "" && (c.CanaryShare < 1 || c.CanaryShare > model.ShareScale):
		return fmt.Errorf("canary share %d/%d: expected 1 … %d", c.CanaryShare, model.ShareScale, model.ShareScale)
	case c.Shadow != "" && c.Shadow == c.Canary:
		return fmt.Errorf("shadow %s is the canary itself: expected another version, or none", c.Shadow)
	}
	return nil
}

func isCanary(r schemas.Route, version string) bool {
	return r.Canary != nil && r.Canary.ModelVersion == version
}

func isShadow(r schemas.Route, version string) bool {
	return r.Shadow != nil && *r.Shadow == version
}

// kept says how to drop what a route took over from the one before it, where that is
// what failed; "" where what the change named did.
func (c Change) kept(now *schemas.Route, next schemas.Route, failed error) string {
	if now == nil {
		return ""
	}
	version, policy := failing(failed)
	switch {
	case c.Canary == "" && isCanary(next, version):
		return "; it is the canary, which stays unless --no-canary ends it"
	case c.Shadow == "" && isShadow(next, version):
		return "; it is the shadow, which stays unless --no-shadow ends it"
	case c.Policy == "" && policy:
		return "; it is the policy in force, which stays unless --policy FILE, or --policy default, names another"
	}
	return ""
}

// failing is the version because of which a route was refused, or whether its policy is.
func failing(err error) (version string, policy bool) {
	if missing, ok := errors.AsType[*missingError](err); ok {
		return missing.version, false
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.version, refused.version == ""
	}
	return "", false
}

// Difference is one thing in which a route differs from the one before it.
type Difference struct {
	What string `json:"what"` // champion, canary, shadow or policy
	From string `json:"from"` // "" where there was none
	To   string `json:"to"`   // "" where there is none any more
	// Detail says more than the two names: the policy's fields that differ.
	Detail string `json:"detail,omitempty"`
}

// String is the difference as people read it.
func (d Difference) String() string {
	var text string
	switch {
	case d.From == "":
		text = fmt.Sprintf("%s %s begins", d.What, d.To)
	case d.To == "":
		text = fmt.Sprintf("%s %s ends", d.What, d.From)
	default:
		text = fmt.Sprintf("%s %s → %s", d.What, d.From, d.To)
	}
	if d.Detail != "" {
		text += " (" + d.Detail + ")"
	}
	return text
}

// Differences are what a route changes, in the order champion, canary, shadow,
// policy. before is nil where it is the first.
func Differences(before *schemas.Route, after schemas.Route) []Difference {
	if before == nil {
		before = &schemas.Route{}
	}
	all := []Difference{
		{What: "champion", From: before.Champion, To: after.Champion},
		{What: "canary", From: CanaryText(before.Canary), To: CanaryText(after.Canary)},
		{What: "shadow", From: shadowText(before.Shadow), To: shadowText(after.Shadow)},
		policyDifference(before.Policy, after.Policy),
	}
	out := []Difference{}
	for _, d := range all {
		if d.From != d.To {
			out = append(out, d)
		}
	}
	return out
}

// CanaryText is a canary as it is typed, "v8=10%"; "" for none.
func CanaryText(c *schemas.Canary) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s=%s%%", c.ModelVersion, percent(c.Share))
}

func shadowText(shadow *string) string {
	if shadow == nil {
		return ""
	}
	return *shadow
}

func policyDifference(from, to string) Difference {
	before, after := policyName(from), policyName(to)
	d := Difference{What: "policy", From: before.Version, To: after.Version}
	if before.Text != "" && after.Text != "" {
		d.Detail = strings.Join(fields(before, after), ", ")
	}
	return d
}

// policyName is a policy; of one that is not valid its version says so, and of none
// it is empty.
func policyName(text string) policy.Policy {
	if text == "" {
		return policy.Policy{}
	}
	p, err := policy.Parse(text)
	if err != nil {
		return policy.Policy{Version: "(not valid)"}
	}
	return *p
}

// fields are the fields in which two policies differ.
func fields(from, to policy.Policy) []string {
	var out []string
	number := func(name string, a, b float64) {
		if a != b {
			out = append(out, fmt.Sprintf("%s %s → %s", name, plain(a), plain(b)))
		}
	}
	number("threshold", from.Threshold, to.Threshold)
	number("approve_below", from.ApproveBelow, to.ApproveBelow)
	number("decline_from", from.DeclineFrom, to.DeclineFrom)
	number("max_missing", float64(from.MaxMissing), float64(to.MaxMissing))
	number("points.base", from.Points.Base, to.Points.Base)
	number("points.base_odds", from.Points.BaseOdds, to.Points.BaseOdds)
	number("points.pdo", from.Points.PDO, to.Points.PDO)
	return out
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
