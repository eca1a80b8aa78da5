package release

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/model"
)

// RouteCommand is the command that routes to what was released.
func (r *Released) RouteCommand(why string) string {
	c := Change{Champion: r.Model.Version}
	if r.Current != nil {
		return r.Current.RouteCommand(c, why)
	}
	first := Revision{Number: none, flags: r.flags}
	return first.RouteCommand(c, why)
}

// none is the number of no revision, before the first.
const none = -1

// RouteCommand is the command that makes a change to this revision.
func (r *Revision) RouteCommand(c Change, why string) string {
	words := []string{"creditstream model route"}
	if c.Champion != "" {
		words = append(words, "--champion", word(c.Champion))
	}
	if c.Canary != "" {
		words = append(words, "--canary", fmt.Sprintf("%s=%s%%", word(c.Canary), percent(float64(c.CanaryShare)/model.ShareScale)))
	}
	if c.NoCanary {
		words = append(words, "--no-canary")
	}
	if c.Shadow != "" {
		words = append(words, "--shadow", word(c.Shadow))
	}
	if c.NoShadow {
		words = append(words, "--no-shadow")
	}
	return r.signed(words, why)
}

// RollbackCommand is the command that takes this revision's champion back.
func (r *Revision) RollbackCommand(why string) string {
	return r.signed([]string{"creditstream model rollback"}, why)
}

func (r *Revision) signed(words []string, why string) string {
	if r.Number != none {
		words = append(words, "--expect", strconv.FormatInt(r.Number, 10))
	}
	return strings.Join(append(words, "--why", quoted(why)), " ") + r.flags
}

// percent is a share in percent, to the step that shares have.
func percent(share float64) string {
	return strconv.FormatFloat(float64(int64(share*model.ShareScale+0.5))*100/model.ShareScale, 'f', -1, 64)
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
