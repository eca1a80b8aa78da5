package release

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/model"
)

// RouteCommand is the command that makes a change to this revision; to none where it
// is nil, for the first route.
func (r *Revision) RouteCommand(c Change, why string) string {
	words := []string{"creditstream model route"}
	if c.Champion != "" {
		words = append(words, "--champion", word(c.Champion))
	}
	if c.Canary != "" {
		words = append(words, "--canary", fmt.Sprintf("%s=%s%%", word(c.Canary), percent(float64(c.CanaryShare)/ShareScale)))
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
	if r != nil {
		words = append(words, "--expect", strconv.FormatInt(r.Number, 10))
	}
	return strings.Join(append(words, "--why", quoted(why)), " ")
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
