package cli

import (
	"encoding/json"

	"github.com/creditstream/creditstream/consumer/verify"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

type verifyCmd struct {
	Kafka flags.Kafka `embed:""`

	Group string `help:"Consumer group of the scorers judged (default PREFIX.scorer, or scorer as long as only that has commits)." placeholder:"NAME"`
	From  string `help:"Judge applications appended from here on: start or an RFC 3339 time. For a group that began with score --from." default:"start" placeholder:"start|TIME"`
	Model string `help:"Bundle that served where a prediction names no route: shipped, the one inside the binary, or a file." default:"shipped" placeholder:"shipped|FILE" group:"Model"`
	JSON  bool   `help:"Print one JSON object." name:"json"`

	AllowUnjudgeable bool `help:"Pass although some offsets can no longer be judged: retention has removed the applications or the answers to them, or they are in a batch that cannot be read; or that some predictions could not be computed again here."`
}

// exitNotJudged is verify's exit code where nothing failed and not all could be judged.
const exitNotJudged = 3

// Help is the second half of `verify --help`.
func (verifyCmd) Help() string {
	return `Judges a run from its topics, also while it continues: every application below the group's committed offsets must have been answered exactly once, by a prediction or a dead letter that says what was applied for; and every prediction is computed again with the model, route and policy it names.

Exit codes: 0 every application was answered exactly once. 1 something was lost, duplicated or altered; the first five of each are named. 2 usage. 3 not judged: nothing failed, but records lie behind a transaction that has been open for ten seconds, or retention has removed what the group has committed, or a batch of the log cannot be read, or a prediction could not be computed again here, where its model or route is not to be had (--allow-unjudgeable accepts that; --from leaves out what was appended before).

It reads applications and their answers (predictions and dead letters) once, and once more where something is wrong.`
}

// Run judges and prints.
func (c *verifyCmd) Run(p *process) error {
	from, _, err := flags.Stretch{From: c.From}.Config()
	if err != nil {
		return err
	}
	unrouted, err := flags.ReadBundle(c.Model)
	if err != nil {
		return err
	}
	codec, err := c.Kafka.Registry.Codec(p.log)
	if err != nil {
		return err
	}
	topics := c.Kafka.Topics()
	config := verify.Config{Kafka: c.Kafka.Config(p.log).For("verify"), Topics: topics, Codec: codec, From: from}
	var report *verify.Report
	config.Group, err = app.GroupInUse(p.ctx, config.Kafka, schemas.GroupScorer, c.Group, topics.Applications)
	if err == nil {
		report, err = app.Verify(p.ctx, config, unrouted)
	}
	if err != nil {
		return c.Kafka.Config(p.log).For("verify").AlsoMissing(p.ctx, err,
			kafka.Reads(topics.Applications, topics.Predictions, topics.DLQ, topics.Models, topics.Routes))
	}
	if c.JSON {
		err = json.NewEncoder(p.stdout).Encode(report)
	} else {
		err = report.Print(p.stdout, c.AllowUnjudgeable)
	}
	switch {
	case err != nil:
		return err
	case report.Failed():
		return exitCode(1)
	case report.NotJudged(c.AllowUnjudgeable) != "":
		return exitCode(exitNotJudged)
	}
	return nil
}
