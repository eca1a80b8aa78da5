package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

type topicsCmd struct {
	Apply    topicsApplyCmd    `cmd:"" help:"Create the topics that do not exist, with every setting explicit, and report how existing ones differ from the catalogue; exit code 1 when models or routes are lost by that, or --update cannot mend it."`
	List     topicsListCmd     `cmd:"" help:"Compare the cluster's topics with the catalogue; exit code 1 when a topic is missing or its settings differ."`
	Describe topicsDescribeCmd `cmd:"" help:"Print the catalogue: every topic, what is in it and its settings. Needs no cluster."`
	Adopt    topicsAdoptCmd    `cmd:"" name:"adopt-groups" help:"Move the offsets of groups from the names that earlier releases gave them to those of this deployment, once they have no members."`
	ACLs     topicsACLsCmd     `cmd:"" name:"acls" help:"Print what each part of the system needs of a cluster with ACLs. Needs no cluster."`
}

type topicsApplyCmd struct {
	Kafka         flags.Kafka `embed:""`
	Partitions    int32       `help:"Partitions of applications, predictions, dead letters and outcomes." default:"12" placeholder:"N"`
	Replication   int16       `help:"Replicas of every partition; -1: the broker's default." default:"-1" placeholder:"N"`
	Update        bool        `help:"Change the settings of topics that exist to the catalogue's, and add partitions where there are fewer than --partitions (an id's later records may then go to another partition). Partitions are never removed, replicas never moved."`
	GroupProtocol string      `help:"Group protocol of the scorer: ${enum}. consumer also sets the session timeout and the heartbeat interval of its group: 10 s and 1 s, or the least that the brokers allow." enum:"classic,consumer" default:"classic"`
	Group         string      `help:"Consumer group of the scorer (default PREFIX.scorer, or scorer as long as only that has commits)." placeholder:"NAME"`
	JSON          bool        `help:"Print JSON." name:"json"`
}

// applyTime bounds a whole apply.
const applyTime = time.Minute

// wantedGroupTimes are what a group of the consumer protocol should have: a classic
// member's. The session's is above the transactions' eight seconds.
func wantedGroupTimes() kafka.GroupTimes {
	return kafka.GroupTimes{Session: member.SessionTimeout, Heartbeat: member.HeartbeatInterval}
}

// appliedTopic is what apply did to one topic.
type appliedTopic struct {
	Topic       string             `json:"topic"`
	State       string             `json:"state"` // created, existed, updated or differs
	Differences []kafka.Difference `json:"differences"`
	Loses       bool               `json:"loses"` // models or routes, by what differs
}

// Run creates what is missing.
func (c *topicsApplyCmd) Run(p *process) error {
	if c.Partitions < 1 {
		return flags.Usagef("--partitions %d: expected at least 1", c.Partitions)
	}
	if c.Replication == 0 || c.Replication < -1 {
		return flags.Usagef("--replication %d: expected at least 1, or -1 for the broker's default", c.Replication)
	}
	client, err := c.Kafka.Config(p.log).For("topics").Connect(p.ctx, kgo.RetryTimeout(applyTime))
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := c.apply(p, kadm.NewClient(client))
	if err != nil {
		return err
	}
	times, err := c.groupTimes(p, client)
	if err != nil {
		return err
	}
	subjects, err := c.applySchemas(p)
	if err != nil {
		return err
	}
	if c.JSON {
		err := json.NewEncoder(p.stdout).Encode(struct {
			Topics            []appliedTopic  `json:"topics"`
			SessionTimeout    int64           `json:"group_session_timeout_ms,omitempty"`
			HeartbeatInterval int64           `json:"group_heartbeat_interval_ms,omitempty"`
			Schemas           []appliedSchema `json:"schemas,omitempty"`
		}{topics, times.Session.Milliseconds(), times.Heartbeat.Milliseconds(), subjects})
		return cmp.Or(err, c.exit(topics))
	}
	for _, t := range topics {
		fmt.Fprintln(p.stdout, t.State, t.Topic)
		for _, d := range t.Differences {
			fmt.Fprintln(p.stdout, "  "+d.String())
		}
		if t.Loses {
			fmt.Fprintln(p.stdout, "  models or routes are lost by it: apply with --update")
		}
	}
	if times.Session > 0 {
		fmt.Fprintf(p.stdout, "set consumer.session.timeout.ms of group %s to %d, consumer.heartbeat.interval.ms to %d\n",
			c.Group, times.Session.Milliseconds(), times.Heartbeat.Milliseconds())
	}
	if wanted := wantedGroupTimes(); times.Session > wanted.Session || times.Heartbeat > wanted.Heartbeat {
		fmt.Fprintf(p.stdout, "  %d and %d would hand partitions over sooner: set the brokers' group.consumer.min.session.timeout.ms and group.consumer.min.heartbeat.interval.ms to these, and apply again\n",
			wanted.Session.Milliseconds(), wanted.Heartbeat.Milliseconds())
	}
	for _, s := range subjects {
		fmt.Fprintf(p.stdout, "registered %s as id %d, %s\n", s.Subject, s.ID, s.Compatibility)
	}
	return c.exit(topics)
}

// exit is the exit code: 1 where something differs that was to be mended and could
// not be, or that loses models or routes and was not to be.
func (c *topicsApplyCmd) exit(topics []appliedTopic) error {
	for _, t := range topics {
		if t.Loses || c.Update && len(t.Differences) > 0 {
			return exitCode(1)
		}
	}
	return nil
}

func (c *topicsApplyCmd) apply(p *process, adm *kadm.Client) ([]appliedTopic, error) {
	specs := topicSpecs(c.Kafka.Prefix, c.Partitions, c.Replication)
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	before, err := kafka.DescribeTopics(p.ctx, adm, names...)
	if err != nil {
		return nil, err
	}
	if _, err := kafka.CreateTopics(p.ctx, adm, specs); err != nil {
		return nil, err
	}
	var applied []appliedTopic
	for _, s := range specs {
		one := appliedTopic{Topic: s.Name, State: "created", Differences: []kafka.Difference{}}
		if t, existed := before[s.Name]; existed {
			differences := t.Differences(s)
			switch {
			case len(differences) == 0:
				one.State = "existed"
			case c.Update:
				left, err := kafka.UpdateTopic(p.ctx, adm, s, t)
				if err != nil {
					return nil, err
				}
				one.State, one.Differences = "updated", append(one.Differences, left...)
			default:
				one.State, one.Differences, one.Loses = "differs", differences, loses(c.Kafka.Prefix, t)
			}
		}
		applied = append(applied, one)
	}
	return applied, nil
}

// loses says whether a topic's settings lose models or routes.
func loses(prefix string, t kafka.TopicState) bool {
	for _, one := range schemas.Catalogue(prefix) {
		if one.Name == t.Name && slices.ContainsFunc(one.Flaws(t.Configs), func(f schemas.Flaw) bool { return f.Loses }) {
			return true
		}
	}
	return false
}

// groupTimes sets the group's where the scorer is to use the consumer protocol; none
// where it does not or the cluster has no such settings.
func (c *topicsApplyCmd) groupTimes(p *process, client *kgo.Client) (kafka.GroupTimes, error) {
	if c.GroupProtocol != member.ProtocolConsumer {
		return kafka.GroupTimes{}, nil
	}
	var err error
	if c.Group, err = app.GroupInUse(p.ctx, c.Kafka.Config(p.log).For("topics"), schemas.GroupScorer, c.Group, c.Kafka.Topics().Applications); err != nil {
		return kafka.GroupTimes{}, err
	}
	set, err := kafka.SetGroupTimes(p.ctx, client, c.Group, wantedGroupTimes())
	if errors.Is(err, kafka.ErrNoGroupConfigs) {
		p.log.Warn("the session timeout and the heartbeat interval of the scorer's group were not set", "group", c.Group, "error", err)
		return kafka.GroupTimes{}, nil
	}
	return set, err
}

// topicSpecs is the catalogue as it should be on a cluster. With 0 partitions
// their number is left to the cluster.
func topicSpecs(prefix string, partitions int32, replication int16) (specs []kafka.TopicSpec) {
	for _, t := range schemas.Catalogue(prefix) {
		if t.Partitions > 1 {
			t.Partitions = partitions
		}
		specs = append(specs, kafka.TopicSpec{Name: t.Name, Partitions: t.Partitions, Replication: replication, Configs: t.Configs})
	}
	return specs
}

type topicsListCmd struct {
	Kafka flags.Kafka `embed:""`
	JSON  bool        `help:"Print JSON." name:"json"`
}

// listedTopic is one topic of the catalogue as it is on the cluster.
type listedTopic struct {
	Topic       string             `json:"topic"`
	State       string             `json:"state"` // ok, missing or differs
	Partitions  int32              `json:"partitions"`
	Replication int                `json:"replication"`
	Offsets     int64              `json:"offsets"` // kept, transaction markers among them
	Bytes       int64              `json:"bytes"`   // of all replicas, -1 when the cluster does not say
	Differences []kafka.Difference `json:"differences"`
}

// Run compares the cluster with the catalogue.
func (c *topicsListCmd) Run(p *process) error {
	client, err := c.Kafka.Config(p.log).For("topics").Connect(p.ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	specs := topicSpecs(c.Kafka.Prefix, 0, -1)
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	states, err := kafka.DescribeTopics(p.ctx, kadm.NewClient(client), names...)
	if err != nil {
		return err
	}
	var (
		topics []listedTopic
		wrong  = false
	)
	for _, s := range specs {
		one := listedTopic{Topic: s.Name, State: "missing", Differences: []kafka.Difference{}}
		if t, ok := states[s.Name]; ok {
			one.State, one.Partitions, one.Replication, one.Offsets, one.Bytes = "ok", t.Partitions, t.Replication, t.End-t.First, t.Bytes
			if differences := t.Differences(s); len(differences) > 0 {
				one.State, one.Differences = "differs", differences
			}
		}
		wrong = wrong || one.State != "ok"
		topics = append(topics, one)
	}
	if err := c.print(p, topics); err != nil {
		return err
	}
	if wrong {
		return exitCode(1)
	}
	return nil
}

func (c *topicsListCmd) print(p *process, topics []listedTopic) error {
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(topics)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tSTATE\tPARTITIONS\tREPLICAS\tOFFSETS\tBYTES\tDIFFERENCES")
	for _, t := range topics {
		if t.State == "missing" {
			fmt.Fprintf(w, "%s\tmissing\t\t\t\t\trun: creditstream topics apply%s\n", t.Topic, c.Kafka.Config(p.log).Flags())
			continue
		}
		size := "?"
		if t.Bytes >= 0 {
			size = strconv.FormatInt(t.Bytes, 10)
		}
		var differences []string
		for _, d := range t.Differences {
			differences = append(differences, d.String())
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", t.Topic, t.State, t.Partitions, t.Replication, t.Offsets, size, strings.Join(differences, "; "))
	}
	return w.Flush()
}

type topicsDescribeCmd struct {
	Prefix string `help:"Prefix of every topic." default:"credit"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run prints the catalogue.
func (c *topicsDescribeCmd) Run(p *process) error {
	topics := schemas.Catalogue(c.Prefix)
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(topics)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tKEY\tPARTITIONS\tCLEANUP\tRETENTION MS\tMAX MESSAGE BYTES\tWHAT IS IN IT")
	for _, t := range topics {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", t.Name, t.Key, t.Partitions,
			t.Configs["cleanup.policy"], t.Configs["retention.ms"], t.Configs["max.message.bytes"], t.Doc)
	}
	return w.Flush()
}
