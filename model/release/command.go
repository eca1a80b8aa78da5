package release

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// RouteCommand is the command that puts other models in this revision's place, and
// keeps its policy. canary and shadow may be nil: none.
func (r *Revision) RouteCommand(champion string, canary *schemas.Canary, shadow *string, why string) string {
	words := []string{"creditstream model route --champion", word(champion)}
	if canary != nil {
		words = append(words, "--canary", fmt.Sprintf("%s=%s%%", word(canary.ModelVersion), percent(canary.Share)))
	}
	if shadow != nil {
		words = append(words, "--shadow", word(*shadow))
	}
	if r.Route.Policy != schemas.DefaultPolicyText {
		words = append(words, "--same-policy")
	}
	return r.signed(words, why)
}

// RollbackCommand is the command that takes this revision's champion back.
func (r *Revision) RollbackCommand(why string) string {
	return r.signed([]string{"creditstream model rollback"}, why)
}

func (r *Revision) signed(words []string, why string) string {
	return strings.Join(append(words, "--expect", strconv.FormatInt(r.Number, 10), "--why", quoted(why)), " ")
}

// percent is a share in percent, to the step that shares have.
func percent(share float64) string {
	return strconv.FormatFloat(float64(int64(share*ShareScale+0.5))*100/ShareScale, 'f', -1, 64)
}

// word is a version as a shell takes it: a route that was written past the command
// may name anything.
func word(version string) string {
	if model.CheckVersion(version) == nil {
		return version
	}
	return quoted(version)
}

// quoted is a text that a POSIX shell takes as it is.
func quoted(text string) string {
	if !strings.ContainsAny(text, "\"$`\\!") {
		return `"` + text + `"`
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
