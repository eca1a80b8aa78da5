package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

type topicsAdoptCmd struct {
	Kafka flags.Kafka `embed:""`
	JSON  bool        `help:"Print JSON." name:"json"`
}

// Help is the second half of `topics adopt-groups --help`.
func (topicsAdoptCmd) Help() string {
	return `Earlier releases called the consumer groups scorer, view and drift, whatever the deployment. They are now PREFIX.scorer, PREFIX.view and PREFIX.drift; a component whose group has commits under the old name only keeps using that. This command moves the offsets of this deployment's topics to the new names and deletes them under the old ones, so that a component of an earlier release, started by mistake, refuses to guess where to begin instead of answering applications twice.

1. Stop every score, view and drift of this deployment.
2. creditstream topics adopt-groups
3. Start them again, without --group.

It refuses a group that has members and names them. It can be run again at any time and continues where it was interrupted. With --group-protocol consumer run topics apply again afterwards: a group's timeouts go by its name.`
}

// adoptedGroup is what became of one component's group.
type adoptedGroup struct {
	Component string `json:"component"`
	member.Adopted
	Error string `json:"error,omitempty"`
}

// Run moves what there is to move, and tries all three.
func (c *topicsAdoptCmd) Run(p *process) error {
	client, err := c.Kafka.Config(p.log).For("adopt-groups").Connect(p.ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm, topics := kadm.NewClient(client), c.Kafka.Topics()
	var (
		all    []adoptedGroup
		failed []error
	)
	if err := kafka.RequireTopics(p.ctx, adm, topics.Applications, topics.Predictions, topics.Outcomes); err != nil {
		return err
	}
	for _, one := range []struct {
		component string
		topics    []string
	}{
		{schemas.GroupScorer, []string{topics.Applications}},
		{schemas.GroupView, []string{topics.Predictions}},
		{schemas.GroupDrift, []string{topics.Predictions, topics.Outcomes}},
	} {
		done, err := app.GroupNames(c.Kafka.Prefix, one.component, "").Adopt(p.ctx, adm, one.topics...)
		a := adoptedGroup{Component: one.component, Adopted: done}
		if err != nil {
			a.Error = err.Error()
			failed = append(failed, err)
		}
		all = append(all, a)
	}
	if c.JSON {
		if err := json.NewEncoder(p.stdout).Encode(all); err != nil {
			return err
		}
		return errors.Join(failed...)
	}
	for _, a := range all {
		switch {
		case a.Error != "":
		case len(a.Offsets) == 0:
			fmt.Fprintf(p.stdout, "%s: group %s has no offsets of this deployment: nothing to move\n", a.Component, a.Former)
		default:
			fmt.Fprintf(p.stdout, "%s: moved %d offsets from group %s to %s\n", a.Component, len(a.Offsets), a.Former, a.Group)
			for _, o := range a.Offsets {
				fmt.Fprintf(p.stdout, "  %s/%d %d\n", o.Topic, o.Partition, o.Offset)
			}
		}
	}
	return errors.Join(failed...)
}
