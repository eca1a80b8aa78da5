package cli

import (
	"fmt"
	"io"

	"github.com/creditstream/creditstream/audit/judge"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
)

// candidateJudgement is a candidate's judgement and what carries it out.
type candidateJudgement struct {
	judge.Judgement
	Next *nextStep `json:"next"` // null where the verdict is to hold: there is nothing to carry out
}

// nextStep is a command and what comes of it.
type nextStep struct {
	Does    string `json:"does"`
	Command string `json:"command"`
}

// firstShare is the share with which a shadow that was promoted begins to decide.
const firstShare = model.ShareScale / 10

// withNext adds what carries a judgement out: a route that changes this and nothing
// else. To undo a candidate is no rollback: the champion is healthy.
func withNext(j *judge.Judgement, route *release.Revision) *candidateJudgement {
	out := &candidateJudgement{Judgement: *j}
	change := func(does string, c release.Change) {
		out.Next = &nextStep{does, route.RouteCommand(c, "judged: "+j.Why)}
	}
	isCanary := j.Role == "canary"
	switch {
	case j.Verdict == judge.RollBack && isCanary:
		change("the canary ends, the champion stays", release.Change{NoCanary: true})
	case j.Verdict == judge.RollBack:
		change("the shadow ends, the champion stays", release.Change{NoShadow: true})
	case j.Verdict == judge.Promote && isCanary:
		change("the canary becomes champion", release.Change{Champion: j.ModelVersion})
	case j.Verdict == judge.Promote:
		does := "the shadow becomes canary"
		if canary := route.Route.Canary; canary != nil {
			does += fmt.Sprintf(" in place of %s, which is better decided on first", canary.ModelVersion)
		}
		change(does, release.Change{Canary: j.ModelVersion, CanaryShare: firstShare})
	}
	return out
}

// print writes it for people.
func (c *candidateJudgement) print(w io.Writer) error {
	if err := c.Print(w); err != nil || c.Next == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "  next, %s:\n    %s\n", c.Next.Does, c.Next.Command)
	return err
}

// whyBack is the reason in a command that is printed to take a champion back.
const whyBack = "the champion is worse"
