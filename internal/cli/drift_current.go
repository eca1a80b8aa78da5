package cli

import (
	"fmt"
	"io"

	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/consumer/recent"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type driftCurrentCmd struct {
	Kafka flags.Kafka `embed:""`

	Last int    `help:"How many of the newest inputs (at most 1000000)." default:"10000" placeholder:"N"`
	Out  string `help:"CSV file to write, whole or not at all; - is the standard output." default:"-" placeholder:"FILE|-"`
}

// Help is the second half of `drift current --help`.
func (driftCurrentCmd) Help() string {
	return `Writes the last N inputs as CSV, oldest first, in the columns of dataset export: what was decided, the 23 features as received (empty: missing), and whether the loan defaulted, where that is known already. An outcome is of the last decision on its application at or before observed_at, as for drift. Counts of the outcomes go to stderr, by the names of docs/events.md. Where the log holds more than N inputs, only the outcomes since the first of the N are counted, and an outcome of an earlier input is unmatched.

The daily check compares this file with the training data (make drift-check, in a checkout).

These are applicants' data: only its owner may read a file that --out names.

Examples:
  creditstream drift current --last 10000 > current.csv
  creditstream drift current --last 5000 --out data/processed/current.csv`
}

// Run writes the rows.
func (c *driftCurrentCmd) Run(p *process) error {
	if c.Last < 1 || c.Last > recent.Most {
		return flags.Usagef("--last %d: expected 1 … %d", c.Last, recent.Most)
	}
	codec, err := c.Kafka.Registry.Codec(p.log)
	if err != nil {
		return err
	}
	decisions, apart, err := recent.Read(p.ctx, recent.Config{
		Kafka: c.Kafka.Config(p.log).For("drift-current"), Topics: c.Kafka.Topics(), Codec: codec, N: c.Last,
	})
	if err != nil {
		return err
	}
	warnOpen(p, apart.Open)
	known := 0
	err = writeOut(p, c.Out, func(to io.Writer) error {
		w, err := dataset.NewWriter(to)
		if err != nil {
			return err
		}
		for i := range decisions {
			outcome := dataset.Unknown
			if decisions[i].Known {
				outcome = int8(decisions[i].Defaulted)
				known++
			}
			if err := w.Write(&decisions[i].Prediction, outcome); err != nil {
				return err
			}
		}
		return w.Flush()
	})
	if err != nil {
		return err
	}
	if apart.Records > 0 {
		p.log.Warn("left out: neither predictions nor outcomes, or in Avro without a registry (set --schema-registry)", "records", apart.Records)
	}
	warnUnread(p, &apart.Unreadable)
	fmt.Fprintf(p.stderr, "%d inputs, %d with an outcome\n", len(decisions), known)
	printOutcomes(p.stderr, &apart.Outcomes)
	printKeyDiffers(p.stderr, apart.PredictionKeyDiffers, apart.Outcomes.KeyDiffers)
	if len(decisions) < c.Last {
		fmt.Fprintf(p.stderr, "the log holds no more than these\n")
	}
	return nil
}
