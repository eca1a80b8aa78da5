package cli

import (
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type datasetCmd struct {
	Export datasetExportCmd `cmd:"" help:"Write predictions joined with outcomes as CSV, in the columns that training reads."`
}

type datasetExportCmd struct {
	Kafka   flags.Kafka   `embed:""`
	Stretch flags.Stretch `embed:""`

	Labelled bool   `help:"Only decisions whose outcome is known."`
	Out      string `help:"CSV file to write, whole or not at all; - is the standard output." default:"-" placeholder:"FILE|-"`
	JSON     bool   `help:"Print the counts as one JSON object: to stdout, or to stderr where the rows go to stdout." name:"json"`
}

// Help is the second half of dataset export --help.
func (datasetExportCmd) Help() string {
	return `Writes a row for the newest decision on every application that was decided from --from until --to, and for each earlier decision that has an outcome: its id, when it was applied for and decided, the model version, its probability and the decision, the 23 features as received (empty: missing), and whether the loan defaulted (empty: not known yet). Without --to the stretch ends where the log ends when the export begins.

Outcomes are read from --from until now. An outcome labels the last decision on its application that was made at or before observed_at and that the log had taken before the outcome. Of several outcomes of one decision the first counts, as for drift. Records are joined by the application_id in them, whatever their key.

Counts by decision go to stderr. Where only granted loans have outcomes, the labelled rows are biased: allow for that in training.

Predictions of the stretch are read twice, those after it and its outcomes once, in parts of three million decisions: memory stays below about 400 MB. These are applicants' data: only its owner may read a file that --out names.

Examples:
  creditstream dataset export --from 2026-01-01T00:00:00Z --to 2026-07-01T00:00:00Z --labelled --out export.csv`
}

// Run writes the rows.
func (c *datasetExportCmd) Run(p *process) error {
	if c.Stretch.From == "" {
		return flags.Usagef("--from is needed: which stretch of time is meant (start, or an RFC 3339 time)")
	}
	config, err := joined(p, &c.Kafka, c.Stretch, "dataset")
	if err != nil {
		return err
	}
	to := c.Stretch.To
	if to == "" {
		to = time.Now().UTC().Format(time.RFC3339)
		if !c.JSON { // which says it in its own way
			fmt.Fprintf(p.stderr, "--to is not set: everything counts that the log holds now, at %s\n", to)
		}
	}
	defer frugal()()
	var counts *dataset.Counts
	err = writeOut(p, c.Out, func(to io.Writer) error {
		w, err := dataset.NewWriter(to)
		if err != nil {
			return err
		}
		counts, err = dataset.Read(p.ctx, config, func(prediction *schemas.Prediction, defaulted int8) error {
			if c.Labelled && defaulted == dataset.Unknown {
				return nil
			}
			return w.Write(prediction, defaulted)
		})
		if err != nil {
			return err
		}
		return w.Flush()
	})
	if err != nil {
		return err
	}
	warnOpen(p, counts.Open)
	if c.JSON {
		out := p.stdout
		if c.Out == "-" {
			out = p.stderr
		}
		return printJSON(out, exported{counts, c.Stretch.From, to})
	}
	printCounts(p.stderr, counts, c.Labelled)
	return nil
}

// exported is what `dataset export --json` prints.
type exported struct {
	*dataset.Counts
	From string `json:"from"` // as it was given
	To   string `json:"to"`   // likewise, or when the export began
}

// joinedGarbage is how much garbage a command that remembers applications may hold,
// in percent of what it uses: memory before speed.
const joinedGarbage = 30

// frugal keeps garbage low until what it returns is called.
func frugal() (restore func()) {
	before := debug.SetGCPercent(joinedGarbage)
	return func() { debug.SetGCPercent(before) }
}

// joined says which predictions and outcomes are read.
func joined(p *process, k *flags.Kafka, f flags.Stretch, client string) (c dataset.Config, err error) {
	c.Kafka, c.Topics = k.Config(p.log).For(client), k.Topics()
	if c.From, c.To, err = f.Config(); err != nil {
		return c, err
	}
	c.Progress = func(done, of int64) { fmt.Fprintf(p.stderr, "%d of %d offsets read\n", done, of) }
	c.Codec, err = k.Registry.Codec(p.log)
	return c, err
}

// printCounts says what an export holds.
func printCounts(w io.Writer, c *dataset.Counts, labelledOnly bool) {
	written := c.Rows
	if labelledOnly {
		written = c.Labelled
	}
	fmt.Fprintf(w, "%d rows written; of %d decisions %d are labelled (%s), %d of them defaulted (%s)\n",
		written, c.Rows, c.Labelled, percent(c.Labelled, c.Rows), c.Defaulted, percent(c.Defaulted, c.Labelled))
	for _, decision := range slices.Sorted(maps.Keys(c.Decisions)) {
		g := c.Decisions[decision]
		fmt.Fprintf(w, "  %s: %d decisions (%s), %d labelled (%s), %d defaulted (%s)\n", decision,
			g.Rows, percent(g.Rows, c.Rows), g.Labelled, percent(g.Labelled, g.Rows), g.Defaulted, percent(g.Defaulted, g.Labelled))
	}
	if c.Repeated > 0 {
		fmt.Fprintf(w, "%d older decisions without an outcome, on applications that were decided again, are left out\n", c.Repeated)
	}
	printOutcomes(w, &c.Outcomes)
	printKeyDiffers(w, c.KeyDiffers, c.Outcomes.KeyDiffers)
	if c.Left > 0 {
		fmt.Fprintf(w, "%d records that are neither predictions nor outcomes, or in Avro without a registry (set --schema-registry), are left out\n", c.Left)
	}
	if c.Unread.Offsets > 0 {
		fmt.Fprintln(w, &c.Unread)
	}
}

// printOutcomes says what became of outcomes, by the names of docs/events.md.
func printOutcomes(w io.Writer, o *labels.Counts) {
	if n := o.Malformed; n > 0 {
		fmt.Fprintf(w, "%d malformed: records among the outcomes that are none\n", n)
	}
	if o.Read > 0 {
		fmt.Fprintf(w, "%d outcomes read: %d matched to a decision, %d told twice, %d unmatched (of no decision that was read)\n",
			o.Read, o.Matched, o.Duplicate, o.Unmatched)
		if o.TooOld+o.Before > 0 {
			fmt.Fprintf(w, "  of those unmatched: %d outcome_too_old (of a decision before the last 8), %d outcome_before_decision (observed before every decision)\n", o.TooOld, o.Before)
		}
	}
}

// printKeyDiffers says how many records have another key than their application_id.
func printKeyDiffers(w io.Writer, predictions, outcomes int64) {
	for _, c := range []struct {
		name string
		n    int64
	}{{"prediction_key_differs", predictions}, {"outcome_key_differs", outcomes}} {
		if c.n > 0 {
			fmt.Fprintf(w, "%d %s: the record's key is not the application_id, which is what counts\n", c.n, c.name)
		}
	}
}

// percent is a share as it is shown.
func percent(k, n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(k)/float64(n))
}
