package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/creditstream/creditstream/audit/explain"
	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/consumer/lookup"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/model/release"
)

type explainCmd struct {
	Kafka flags.Kafka `embed:""`
	Redis flags.Redis `embed:""`

	ID     string `arg:"" help:"application_id."`
	Source string `help:"Which of several decisions, by its place in predictions." placeholder:"PARTITION/OFFSET"`
	Newest bool   `help:"Take the newest decision and look no further back."`
	View   bool   `help:"Ask the Redis view (--redis) where the newest decision is; search the log only where it does not know."`
	Model  string `help:"Bundle to use where the models topic does not hold the version: shipped, the one inside the binary, or a file." default:"shipped" placeholder:"shipped|FILE" group:"Model"`
	JSON   bool   `help:"Print one JSON object." name:"json"`
}

// Help is the second half of explain --help.
func (explainCmd) Help() string {
	return `Finds the decision in the log, makes it again with the model, the route and the policy that it names, and shows whether it comes out the same, bit for bit; what every feature contributed; how log-odds became a probability and points; which rules of the policy decided; and what the shadow would have decided.

The search goes back from the end of the application's partition to its beginning, so that it misses no decision on it: --newest stops at the first that it finds, --view asks Redis, --source names the record.

Exits with 1 when there is no such decision, when there are several (they are listed, newest first), when it cannot be made again, or when it comes out differently.

Examples:
  creditstream explain A-000123
  creditstream explain A-000123 --source 3/918 --json`
}

// Run explains one decision.
func (c *explainCmd) Run(p *process) error {
	unrouted, err := flags.ReadBundle(c.Model)
	if err != nil {
		return err
	}
	codec, err := c.Kafka.Registry.Codec(p.log)
	if err != nil {
		return err
	}
	look := lookup.Config{Kafka: c.Kafka.Config(p.log).For("explain"), Topics: c.Kafka.Topics(), Codec: codec, Progress: p.stderr}
	found, err := c.find(p, look)
	if err != nil {
		return err
	}
	history, err := readHistory(p, &c.Kafka)
	if err != nil {
		return err
	}
	past, err := release.NewArchive(history, unrouted)
	if err != nil {
		return fmt.Errorf("--model: %w", err)
	}
	subject, err := explain.NewSubject(found.Source, &found.Prediction, past)
	if gone, ok := errors.AsType[*explain.NoModelError](err); ok {
		return fmt.Errorf("%w and is not the bundle of --model: name its file there", gone)
	}
	if err != nil {
		return err
	}
	e, err := explain.Explain(subject)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(p.stdout, e)
	} else {
		err = e.Print(p.stdout)
	}
	if err == nil && e.Reproduction.Result == explain.Differs {
		return exitCode(1)
	}
	return err
}

// find finds the one decision that is meant.
func (c *explainCmd) find(p *process, look lookup.Config) (*lookup.Found, error) {
	if c.Source != "" {
		return c.at(p, look)
	}
	if c.View {
		if found := c.inView(p, look); found != nil {
			return found, nil
		}
	}
	all, err := lookup.Decisions(p.ctx, look, c.ID, c.Newest || c.View)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		// It may have been decided where nobody can read it yet, nor its application.
		warnHanging(p, look.Kafka, look.Topics.Applications, look.Topics.Predictions)
		return nil, fmt.Errorf("%s holds no decision on %s: it was not decided, its records have expired, or the id is another (creditstream dlq list shows applications that could not be scored)", look.Topics.Predictions, c.ID)
	case len(all) > 1:
		return nil, several(c.ID, all)
	}
	return &all[0], nil
}

// several says which decisions there are.
func several(id string, all []lookup.Found) error {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%d decisions were made on %s; say which: --newest, or", len(all), id)
	for _, f := range all[:min(len(all), most)] {
		fmt.Fprintf(&b, "\n  --source %d/%d  decided %s  %s %s  model %s", f.Partition, f.Offset, f.Prediction.DecidedAt, f.Prediction.Channel, f.Prediction.Decision, f.Prediction.ModelVersion)
	}
	if more := len(all) - most; more > 0 {
		fmt.Fprintf(&b, "\n  and %d older ones", more)
	}
	return errors.New(b.String())
}

// at is the decision that --source names.
func (c *explainCmd) at(p *process, look lookup.Config) (*lookup.Found, error) {
	position, err := deadletters.ParsePosition(c.Source)
	if err != nil {
		return nil, flags.Usagef("--source %w", err)
	}
	found, err := lookup.At(p.ctx, look, position.Partition, position.Offset)
	if err != nil {
		return nil, err
	}
	if id := found.Prediction.ApplicationID; id != c.ID {
		return nil, fmt.Errorf("--source %s: the decision there is on %s, not on %s", c.Source, id, c.ID)
	}
	return found, nil
}

// inView is the decision that the view names; nil where it knows none, or none that
// the log holds.
func (c *explainCmd) inView(p *process, look lookup.Config) *lookup.Found {
	client := c.Redis.Config().Open()
	defer client.Close() //nolint:errcheck // nothing is left to be written
	cluster, err := look.Kafka.ClusterID(p.ctx)
	if err != nil {
		p.log.Warn("it is not known which cluster this is, the log is searched", "error", err)
		return nil
	}
	own := view.NewStore(client, c.Kafka.Prefix).Of(func() (string, bool) { return cluster, true })
	decided, known, err := own.Decided(p.ctx, c.ID)
	switch {
	case err != nil:
		p.log.Warn("the view cannot be asked, the log is searched", "error", redisconn.Explain(err))
		return nil
	case !known:
		p.log.Info("the view does not know the application, the log is searched")
		return nil
	}
	found, err := lookup.At(p.ctx, look, decided.Stamp.Partition, decided.Stamp.Offset)
	if err == nil && found.Prediction.ApplicationID != c.ID {
		err = errors.New("another application is there")
	}
	if err != nil {
		p.log.Warn("what the view names is not in the log, which is searched", "partition", decided.Stamp.Partition, "offset", decided.Stamp.Offset, "error", err)
		return nil
	}
	return found
}
