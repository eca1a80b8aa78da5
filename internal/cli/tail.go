package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/creditstream/creditstream/consumer/tail"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

type tailCmd struct {
	Kafka flags.Kafka `embed:""`

	ID     string      `arg:"" optional:"" help:"Show only this application_id: everything the log holds about it, from the start unless --from says otherwise."`
	From   string      `help:"Where to begin: start, end or an RFC 3339 time (default: end; with an ID, start; with --limit, so far back that those are shown)." placeholder:"start|end|TIME"`
	Follow bool        `help:"Continue with what comes after the end of the log; always so when beginning there." short:"f"`
	Limit  flags.Limit `help:"Show only the last N, with --follow also what comes after them; with --from, the first N from there on. 0: no limit." short:"n" default:"0" placeholder:"N"`

	Decision       string  `help:"Show only this decision: approve, refer or decline." placeholder:"WHAT" group:"Filters"`
	Channel        string  `help:"Show only what was asked through this channel: stream or api." placeholder:"WHICH" group:"Filters"`
	ModelVersion   string  `help:"Show only what this model version decided." placeholder:"VERSION" group:"Filters"`
	MinProbability float32 `help:"Show only probabilities of default of at least this much." default:"0" placeholder:"P" group:"Filters"`

	JSON bool `help:"Print each prediction as JSON, one a line: as it is on the wire, apart from spaces and Avro." name:"json"`
}

// Run prints predictions until a signal, the limit or the end of the log.
func (c *tailCmd) Run(p *process) error {
	if err := flags.CheckValue("--decision", c.Decision, []string{schemas.Approve, schemas.Refer, schemas.Decline}); err != nil {
		return err
	}
	if err := flags.CheckValue("--channel", c.Channel, []string{schemas.ChannelStream, schemas.ChannelAPI}); err != nil {
		return err
	}
	if c.MinProbability < 0 || c.MinProbability > 1 {
		return flags.Usagef("--min-probability %g: expected 0 … 1", c.MinProbability)
	}
	last, most := 0, int(c.Limit)
	follow := c.Follow || c.From == "end"
	switch {
	case c.From != "":
	case most > 0:
		c.From, last, most = "end", most, 0
	case c.ID != "":
		c.From = "start"
	default:
		c.From, follow = "end", true
	}
	from, err := kafka.ParseFrom(c.From)
	if err != nil {
		return flags.Usage(err)
	}
	codec, err := c.Kafka.Registry.Codec(p.log)
	if err != nil {
		return err
	}
	show := lines(p.stdout)
	if c.JSON {
		show = jsonLines(p.stdout)
	}
	shown := 0
	leftOut, err := tail.Read(p.ctx, tail.Config{
		Kafka: c.Kafka.Config(p.log).For("tail"), Topics: c.Kafka.Topics(), Codec: codec, From: from, Last: last, Follow: follow,
		Filter: tail.Filter{ID: c.ID, Decision: c.Decision, Channel: c.Channel, ModelVersion: c.ModelVersion, MinProbability: c.MinProbability},
		Open:   func(open []kafka.Open) { warnOpen(p, open) },
	}, func(prediction *schemas.Prediction, value []byte) (bool, error) {
		shown++
		return shown != most, show(prediction, value)
	})
	if leftOut.Records > 0 {
		p.log.Warn("left out: not predictions, or in Avro without a registry (set --schema-registry)", "records", leftOut.Records)
	}
	warnUnread(p, &leftOut.Unreadable)
	if err == nil && c.ID != "" && shown == 0 && p.ctx.Err() == nil {
		return fmt.Errorf("the log holds no such prediction of %s", c.ID)
	}
	return err
}

// lines prints for people; the columns' names stand above the first.
func lines(w io.Writer) func(*schemas.Prediction, []byte) error {
	header := tail.Header()
	return func(p *schemas.Prediction, _ []byte) error {
		_, err := io.WriteString(w, header+tail.Line(p))
		header = ""
		return err
	}
}

func jsonLines(w io.Writer) func(*schemas.Prediction, []byte) error {
	var line bytes.Buffer
	return func(_ *schemas.Prediction, value []byte) error {
		line.Reset()
		if err := json.Compact(&line, value); err != nil {
			return err
		}
		line.WriteByte('\n')
		_, err := w.Write(line.Bytes())
		return err
	}
}

// warnUnread says what cannot be read and was left out.
func warnUnread(p *process, u *kafka.Unread) {
	if u.Offsets > 0 {
		p.log.Warn("left out: batches that cannot be read", "offsets", u.Offsets, "at", u.At)
	}
}
