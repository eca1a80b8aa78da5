package cli

import (
	"fmt"
	"io"

	"github.com/creditstream/creditstream/audit/judge"
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

// withNext adds the command that carries a judgement out.
func withNext(j *judge.Judgement, route *release.Revision) *candidateJudgement {
	out := &candidateJudgement{Judgement: *j}
	if step := j.Next(&route.Route); step != nil {
		change := release.Change{
			Champion: step.Champion, Canary: step.Canary, CanaryShare: step.CanaryShare, NoCanary: step.NoCanary, NoShadow: step.NoShadow,
		}
		out.Next = &nextStep{step.Does, route.RouteCommand(change, "judged: "+j.Why)}
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
