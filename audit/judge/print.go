package judge

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// interval is the figure's, - where it has none.
func (c *Check) interval() string {
	if c.Lower == nil || c.Upper == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f … %.4f", *c.Lower, *c.Upper)
}

// Print writes the judgement for people.
func (j *Judgement) Print(to io.Writer) error {
	fmt.Fprintf(to, "%s %s: %s\n", j.Role, j.ModelVersion, strings.ToUpper(j.Verdict))
	fmt.Fprintf(to, "  %s\n", j.Why)
	if j.Role == roleCanary {
		fmt.Fprintf(to, "  %d decisions, the champion made %d\n", j.N, j.ChampionN)
	} else {
		fmt.Fprintf(to, "  %d of the champion's decisions\n", j.N)
	}
	if j.Unreadable > 0 {
		fmt.Fprintf(to, "  %d applications that could not be scored have no readable application_id: they count for neither\n", j.Unreadable)
	}
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  CHECK\tRESULT\tFIGURE\t95 %\tLIMIT\t")
	for _, c := range j.Checks {
		if c.Result == Skipped {
			fmt.Fprintf(w, "  %s\t%s\t-\t-\t%.4g\t%s\n", c.Name, c.Result, c.Limit, c.Says)
			continue
		}
		fmt.Fprintf(w, "  %s\t%s\t%.4f\t%s\t%.4g\t%s\n", c.Name, c.Result, c.Value, c.interval(), c.Limit, c.Says)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if j.Latency == nil {
		return nil
	}
	a, b := j.Latency[0], j.Latency[1]
	_, err := fmt.Fprintf(to, "  latency p50 %.1f ms, p99 %.1f ms; the champion's p50 %.1f ms, p99 %.1f ms\n", 1e3*b.P50, 1e3*b.P99, 1e3*a.P50, 1e3*a.P99)
	return err
}
