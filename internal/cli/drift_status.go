package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/latest"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type driftStatusCmd struct {
	Kafka flags.Kafka `embed:""`

	JSON bool `help:"Print the whole status record as JSON, beginning with whether it is stale." name:"json"`
}

// Help is the second half of `drift status --help`.
func (driftStatusCmd) Help() string {
	return `Shows the newest status: the state of every window and alert, and the features that moved. With --json, every statistic over every window as one object on one line: drift_status.json.

A status older than 30 s is marked as old ("stale": true): an evaluator writes one every ten seconds at least, so none works.

Examples:
  creditstream drift status
  creditstream drift status --json > drift_status.json`
}

// Run prints the newest status.
func (c *driftStatusCmd) Run(p *process) error {
	config, topics := c.Kafka.Config(p.log).For("drift-status"), c.Kafka.Topics()
	newest, _, err := latest.Read(p.ctx, config, topics)
	now := time.Now()
	if err == nil && (newest == nil || newest.Status.Stale(now)) {
		warnHanging(p, config, topics.DriftStatus)
	}
	switch {
	case err != nil:
		return err
	case newest == nil:
		return latest.ErrNone
	case c.JSON:
		_, err = p.stdout.Write(append(drift.WithStale(newest.JSON, newest.Status.Stale(now)), '\n'))
		return err
	}
	return printDrift(p.stdout, &newest.Status, now)
}

// mostMoved is how many features of a window are named.
const mostMoved = 5

// printDrift writes a status for people.
func printDrift(to io.Writer, s *drift.Status, now time.Time) error {
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s as of %s, %d decisions of %s\n", s.State, s.EvaluatedAt, s.Decisions, orNone(s.ModelVersions))
	if s.Stale(now) {
		fmt.Fprintf(out, "OLD: nothing was evaluated for %s, so this may not hold any more, and no alert can come: is `creditstream drift` running?\n", s.Age(now).Round(time.Second))
	}
	fmt.Fprintf(out, "reference: %d rows of model %s\n", s.Reference.Rows, s.Reference.ModelVersion)
	for _, u := range s.Reference.Unwatched {
		fmt.Fprintf(out, "not watched: %s: %s\n", u.Feature, u.Why)
	}
	if len(s.Windows) > 0 {
		fmt.Fprintf(out, "\nWINDOW\tSTATE\tDECISIONS\tAPPROVE\tREFER\tDECLINE\tMOST MOVED (PSI)\n")
	}
	for i := range s.Windows {
		w := &s.Windows[i]
		fmt.Fprintf(out, "%s\t%s\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t%s\n", w.Name, w.State, w.Decisions, 100*w.Rates.Approve, 100*w.Rates.Refer, 100*w.Rates.Decline, moved(w))
	}
	if o := &s.Outcomes; o.Read > 0 {
		fmt.Fprintf(out, "\noutcomes: %d read, %d matched, %d unmatched, %d told twice, %d late, %d of declined applications\n", o.Read, o.Matched, o.Unmatched, o.Duplicate, o.Late, o.Declined)
		if o.TooOld+o.Before > 0 {
			fmt.Fprintf(out, "  of those unmatched: %d outcome_too_old (of a decision before the last 8), %d outcome_before_decision (observed before every decision)\n", o.TooOld, o.Before)
		}
		if o.KeyDiffers > 0 {
			fmt.Fprintf(out, "  %d outcome_key_differs: the record's key is not the application_id, which is what joins\n", o.KeyDiffers)
		}
	}
	if len(s.Outcomes.Versions) > 0 {
		fmt.Fprintf(out, "\nMODEL\tSTATE\tLOANS\tDEFAULTED\tEXPECTED\tAUC\n")
	}
	for i := range s.Outcomes.Versions {
		v := &s.Outcomes.Versions[i]
		fmt.Fprintf(out, "%s\t%s\t%d\t%.1f %% (%.1f … %.1f)\t%.1f %%\t%.3f\n", v.ModelVersion, v.State, v.Loans, 100*v.Observed, 100*v.Lower, 100*v.Upper, 100*v.Expected, v.AUC)
	}
	if len(s.Alerts) > 0 {
		fmt.Fprintf(out, "\nALERT\tSTATE\tSINCE\tSTATISTIC\tVALUE THEN\tTHRESHOLD\tNOW\tMOVED THEN\n")
	}
	for i := range s.Alerts {
		a := &s.Alerts[i]
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%.3g\t%.3g\t%s\t%s\n", a.Alert.Alert, a.State, a.Since, a.Statistic, a.Value, a.Threshold, today(a.Now), contributors(a.Contributors))
	}
	return out.Flush()
}

// today is what the newest look says of an alert that fires.
func today(f *drift.AlertFigures) string {
	if f == nil {
		return "–"
	}
	return fmt.Sprintf("%.3g of %.3g", f.Value, f.Threshold)
}

// moved are the features of a window that are not quiet, the most moved first; of a
// quiet one, nothing.
func moved(w *drift.WindowStatus) string {
	var found []drift.FeatureStatus
	for _, f := range append(slices.Clip(w.Features), w.Score) {
		if f.State != drift.Quiet {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b drift.FeatureStatus) int {
		if a.PSI > b.PSI {
			return -1
		}
		return 1
	})
	texts := make([]string, min(len(found), mostMoved))
	for i := range texts {
		texts[i] = fmt.Sprintf("%s %.2f", found[i].Feature, found[i].PSI)
	}
	if more := len(found) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return orNone(texts)
}

func contributors(all []schemas.Contributor) string {
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = fmt.Sprintf("%s (PSI %.2f)", c.Feature, c.PSI)
	}
	return orNone(texts)
}

func orNone(texts []string) string {
	if len(texts) == 0 {
		return "–"
	}
	return strings.Join(texts, ", ")
}
