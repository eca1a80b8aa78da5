package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type dlqListCmd struct {
	Kafka  flags.Kafka   `embed:""`
	Filter flags.Letters `embed:""`

	Replayed bool        `help:"Show only letters that were replayed." xor:"which" group:"Filters"`
	All      bool        `help:"Show all letters, replayed or not." xor:"which" group:"Filters"`
	Limit    flags.Limit `help:"Show only the newest N; 0: all." short:"n" default:"0" placeholder:"N"`
	Values   bool        `help:"Show the values too: they are applicants' data."`
	JSON     bool        `help:"Print each letter as one JSON object a line." name:"json"`
}

// Help is the second half of dlq list --help.
func (dlqListCmd) Help() string {
	return `Shows the records that could not be scored, the oldest first: the place of each among the dead letters (PARTITION/OFFSET, which dlq replay takes), when and why it failed, its source record, and its key. Those that were replayed are left out without --replayed or --all. A count by class goes to stderr. A record without a class is not a letter: no scorer wrote it. It is shown as foreign and never replayed.

The command holds what it shows in memory, about 300 bytes a letter. Where there are millions, bound that with --limit or --from.

Examples:
  creditstream dlq list --limit 20
  creditstream dlq list --class contract --from 2026-11-23T10:00:00Z --json`
}

// Run prints letters and counts them.
func (c *dlqListCmd) Run(p *process) error {
	selection, err := c.Filter.Config()
	if err != nil {
		return err
	}
	which := deadletters.Waiting
	switch {
	case c.All:
		which = deadletters.Both
	case c.Replayed:
		which = deadletters.Replayed
	}
	found, counts, err := deadletters.List(p.ctx, deadletters.ListConfig{
		Config:    deadletters.Config{Kafka: c.Kafka.Config(p.log).For("dlq"), Topics: c.Kafka.Topics()},
		Selection: selection, Which: which, Limit: int(c.Limit), Values: c.Values,
	})
	if err != nil {
		return err
	}
	if err := c.print(p.stdout, found); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, c.summary(which, len(found), counts))
	warnUnclear(p, counts.Unclear)
	warnOpen(p, counts.Open)
	warnUnread(p, &counts.Unread)
	return nil
}

func (c *dlqListCmd) print(w io.Writer, found []deadletters.Letter) error {
	if c.JSON {
		encoder := json.NewEncoder(w)
		for i := range found {
			if err := encoder.Encode(found[i].JSON()); err != nil {
				return err
			}
		}
		return nil
	}
	header := deadletters.Header()
	for i := range found {
		line := header + deadletters.Line(&found[i])
		if header = ""; c.Values {
			line += deadletters.ValueLine(&found[i])
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (c *dlqListCmd) summary(which deadletters.Which, shown int, counts *deadletters.Counts) string {
	text := letters(counts.Letters)
	switch which {
	case deadletters.Waiting:
		text += " not replayed"
	case deadletters.Replayed:
		text += " replayed"
	}
	if counts.Letters > 0 {
		text += ": " + byClass(counts.ByClass)
	}
	if counts.Foreign > 0 {
		text += fmt.Sprintf("; %d foreign, which are none", counts.Foreign)
	}
	if int64(shown) < counts.Letters+counts.Foreign {
		text += fmt.Sprintf("; the newest %d are shown", shown)
	}
	if counts.Others > 0 && which == deadletters.Waiting {
		text += fmt.Sprintf("; %d more were replayed (--replayed shows them)", counts.Others)
	}
	if counts.Others > 0 && which == deadletters.Replayed {
		text += fmt.Sprintf("; %d more were not", counts.Others)
	}
	return text
}
