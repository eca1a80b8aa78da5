package explain

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// Print writes the explanation for people.
func (e *Explanation) Print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "application\t%s\n", e.ApplicationID)
	fmt.Fprintf(w, "recorded at\t%s\n", e.Source)
	fmt.Fprintf(w, "decided\t%s, applied %s, %s\n", e.DecidedAt, e.AppliedAt, e.Channel)
	fmt.Fprintf(w, "model\t%s (%s), made %s; decided on the %s engine\n", e.Model.Version, e.Model.Digest, e.Model.CreatedAt.Format(time.RFC3339), e.Model.Engine)
	fmt.Fprintf(w, "route\t%s\n", e.Route.text())
	fmt.Fprintf(w, "decision\t%s, %d points, probability of default %s\n", e.Policy.Decision, e.Score.Points, float(e.Score.Probability))
	fmt.Fprintf(w, "made again\ton the %s engine: %s\n", e.Reproduction.Engine, e.Reproduction.text())
	if err := w.Flush(); err != nil {
		return err
	}
	for _, d := range e.Reproduction.Differences {
		fmt.Fprintf(to, "  %s: recorded %s, again %s", d.Field, d.Recorded, d.Again)
		if d.Why != "" {
			fmt.Fprintf(to, " (%s)", d.Why)
		}
		fmt.Fprintln(to)
	}

	fmt.Fprintln(to, "\nWhat moved the score (log-odds, + towards default)")
	w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "  base\t\t%+.6f\tthe mean over the training rows\n", e.Score.Base)
	for _, g := range e.Groups {
		reason := ""
		if g.Reason {
			reason = " (a reason given)"
		}
		fmt.Fprintf(w, "  %s\t\t%+.6f\t%s%s\n", g.Code, g.Contribution, g.Text, reason)
		for _, in := range g.Inputs {
			fmt.Fprintf(w, "    %s\t%s\t%+.6f\t\n", in.Name, in.value(), in.Contribution)
		}
	}
	fmt.Fprintf(w, "  log-odds\t\t%+.6f\tbase and contributions\n", e.Score.LogOdds)
	fmt.Fprintf(w, "  probability\t\t%s\t1 / (1 + exp(−log-odds))\n", float(e.Score.Probability))
	fmt.Fprintf(w, "  points\t\t%d\t\n", e.Score.Points)
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprintln(to, "\nWhat was handed in")
	w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	for _, f := range e.Features {
		value, note := "missing", ""
		if f.Value != nil {
			value = strconv.Itoa(int(*f.Value))
		}
		if !f.Used {
			note = "the model does not read it"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Name, value, note)
	}
	if err := w.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(to, "\nWhat the policy (%s) made of it\n", e.Policy.Version)
	w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	for _, s := range e.Policy.Steps {
		mark := " "
		if s.Decides {
			mark = "▶"
		}
		fmt.Fprintf(w, "%s %s\t%s\n", mark, s.Line, s.Says)
	}
	if err := w.Flush(); err != nil || e.Shadow == nil {
		return err
	}
	agrees := "alike"
	if !e.Shadow.Agrees {
		agrees = "otherwise"
	}
	_, err := fmt.Fprintf(to, "\nThe shadow, %s, would have decided %s: %s at %s; made again: %s\n",
		e.Shadow.ModelVersion, agrees, e.Shadow.Decision, float(e.Shadow.Probability), e.Shadow.Reproduced)
	return err
}

func (r *Route) text() string {
	if r.Revision < 0 {
		return "none: the bundle served without one, under the contract's policy"
	}
	text := fmt.Sprintf("revision %d, as %s", r.Revision, r.Role)
	if r.Canary != "" {
		text += fmt.Sprintf("; champion %s, canary %s: its share %.4g, this application at %.4g", r.Champion, r.Canary, r.Share, r.Bucket)
	}
	if r.By != "" {
		text += fmt.Sprintf("; by %s: %s", r.By, r.Why)
	}
	return text
}

func (r *Reproduction) text() string {
	switch r.Result {
	case Exact:
		return "the same, bit for bit"
	case Near:
		for _, d := range r.Differences {
			if d.Field == "decision" {
				return "numbers within what engines and processors may differ by; the decision is " + d.Why + ", which lies between"
			}
		}
		return "the same decision; numbers within what engines and processors may differ by"
	}
	return "NOT the same"
}

func (in *Input) value() string {
	if in.Value == nil {
		return "-"
	}
	return float(*in.Value)
}
