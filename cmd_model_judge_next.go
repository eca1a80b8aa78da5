package main

import (
	"fmt"
	"io"

	"github.com/creditstream/creditstream/audit/judge"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
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
const firstShare = 0.1

// withNext adds what carries a judgement out. A route says everything that serves,
// so that the other candidate must be named again. To undo a candidate is no
// rollback: the champion is healthy.
func withNext(j *judge.Judgement, route *release.Revision) *candidateJudgement {
	out := &candidateJudgement{Judgement: *j}
	now, why := &route.Route, "judged: "+j.Why
	canary, shadow := now.Canary, now.Shadow
	write := func(does, champion string, canary *schemas.Canary, shadow *string) {
		out.Next = &nextStep{does, route.RouteCommand(champion, canary, shadow, why)}
	}
	isCanary := j.Role == "canary"
	switch {
	case j.Verdict == judge.RollBack && isCanary:
		write("the canary goes, the champion stays", now.Champion, nil, shadow)
	case j.Verdict == judge.RollBack:
		write("the shadow goes, the champion stays", now.Champion, canary, nil)
	case j.Verdict == judge.Promote && isCanary:
		write("the canary becomes champion", j.ModelVersion, nil, shadow)
	case j.Verdict == judge.Promote:
		does := "the shadow becomes canary"
		if canary != nil {
			does += fmt.Sprintf(" in place of %s, which is better decided on first", canary.ModelVersion)
		}
		write(does, now.Champion, &schemas.Canary{ModelVersion: j.ModelVersion, Share: firstShare}, nil)
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
