package compare

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/creditstream/creditstream/drift/statistic"
)

// shownGroups is how many reason groups of a turn are shown to people.
const shownGroups = 4

// Print writes the comparison for people.
func (c *Comparison) Print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	for k, v := range []*Version{&c.A, &c.B} {
		fmt.Fprintf(w, "%c\t%s (%s), %s engine: mean probability %.4f, approves %s\n", 'A'+k, v.Version, v.Digest, v.Engine, v.Mean, share(v.Approve))
	}
	fmt.Fprintf(w, "policy\t%s\n", c.PolicyVersion)
	fmt.Fprintf(w, "applications\t%d, the outcome of %d is known, %d defaulted\n", c.N, c.Labelled, c.Defaulted)
	fmt.Fprintf(w, "decided otherwise\t%d, %s\n", c.Flips, share(c.FlipShare))
	fmt.Fprintf(w, "probability, B − A\t%s\n", figure(c.MeanGain, "%+.5f"))
	fmt.Fprintf(w, "scores\tPSI %.4f, KS %.4f\n", c.Score.PSI, c.ScoreKS)
	if c.AUC == nil {
		fmt.Fprintf(w, "AUC\tunknown: it takes outcomes, two of each kind at least\n")
	} else {
		fmt.Fprintf(w, "AUC\tA %s, B %s\n", figure(c.AUC.A, "%.4f"), figure(c.AUC.B, "%.4f"))
		fmt.Fprintf(w, "AUC, B − A\t%s\n", figure(c.AUC.Difference, "%+.4f"))
	}
	if err := w.Flush(); err != nil {
		return err
	}

	w = tabwriter.NewWriter(to, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nA \\ B\t")
	for _, b := range decisions() {
		fmt.Fprintf(w, "%s\t", b)
	}
	for i, cell := range c.Matrix {
		if i%len(decisions()) == 0 {
			fmt.Fprintf(w, "\n%s\t", cell.A)
		}
		fmt.Fprintf(w, "%d\t", cell.N)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}

	if len(c.Why) > 0 {
		fmt.Fprintln(to, "\nWhy decisions differ: by how much B sees more risk than A, mean log-odds (among all applications)")
		w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
		for _, t := range c.Why {
			fmt.Fprintf(w, "  %s → %s, %d applications\tbase\t%+.4f\t\n", t.A, t.B, t.N, t.Base)
			for _, g := range t.Groups[:min(len(t.Groups), shownGroups)] {
				fmt.Fprintf(w, "\t%s\t%+.4f\t(%+.4f)\n", g.Code, g.Difference, g.OfAll)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(c.Segments) > 0 {
		fmt.Fprintln(to, "\nWhere decisions differ more than elsewhere")
		w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "  FEATURE\tVALUES\tAPPLICATIONS\tOTHERWISE\tSHARE\tTIMES ALL")
		for _, s := range c.Segments {
			fmt.Fprintf(w, "  %s\t%s\t%d\t%d\t%s\t%.1f\n", s.Feature, s.Values, s.N, s.Flips, share(s.Share), s.Lift)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if len(c.Examples) > 0 {
		fmt.Fprintln(to, "\nSome of them")
		w = tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
		for _, e := range c.Examples {
			fmt.Fprintf(w, "  %s\t%s at %.4f\t→ %s at %.4f\n", e.ApplicationID, e.A, e.ProbabilityA, e.B, e.ProbabilityB)
		}
		return w.Flush()
	}
	return nil
}

// share is a share with its interval, in percent.
func share(i statistic.Interval) string {
	return fmt.Sprintf("%.2f %% (%.2f … %.2f)", 100*i.Value, 100*i.Lower, 100*i.Upper)
}

// figure is a figure with its interval.
func figure(i statistic.Interval, format string) string {
	return fmt.Sprintf(format+" ("+format+" … "+format+")", i.Value, i.Lower, i.Upper)
}
