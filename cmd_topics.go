package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

type topicsCmd struct {
	Apply    topicsApplyCmd    `cmd:"" help:"Create the topics that do not exist, with every setting explicit; one that exists is left as it is."`
	Describe topicsDescribeCmd `cmd:"" help:"Print the catalogue: every topic, what is in it and its settings. Needs no cluster."`
}

type topicsApplyCmd struct {
	kafkaFlags
	Partitions  int32 `help:"Partitions of applications, predictions, dead letters and outcomes." default:"12" placeholder:"N"`
	Replication int16 `help:"Replicas of every partition; -1: the broker's default." default:"-1" placeholder:"N"`
	JSON        bool  `help:"Print JSON." name:"json"`
}

// applyTime bounds a whole apply.
const applyTime = time.Minute

// Run creates what is missing.
func (c *topicsApplyCmd) Run(p *process) error {
	if c.Partitions < 1 {
		return fmt.Errorf("--partitions %d: expected at least 1", c.Partitions)
	}
	config := c.config(p, "topics")
	client, err := kgo.NewClient(append(config.Options(), kgo.RetryTimeout(applyTime))...)
	if err != nil {
		return err
	}
	defer client.Close()
	var specs []kafka.TopicSpec
	for _, t := range schemas.Catalogue(c.Prefix) {
		if t.Partitions > 1 {
			t.Partitions = c.Partitions
		}
		specs = append(specs, kafka.TopicSpec{Name: t.Name, Partitions: t.Partitions, Replication: c.Replication, Configs: t.Configs})
	}
	created, err := kafka.CreateTopics(p.ctx, kadm.NewClient(client), specs)
	if err != nil {
		return err
	}
	made := map[string]bool{}
	for _, name := range created {
		made[name] = true
	}
	if c.JSON {
		existed := []string{}
		for _, s := range specs {
			if !made[s.Name] {
				existed = append(existed, s.Name)
			}
		}
		return json.NewEncoder(p.stdout).Encode(map[string][]string{"created": append([]string{}, created...), "existed": existed})
	}
	for _, s := range specs {
		state := "existed"
		if made[s.Name] {
			state = "created"
		}
		fmt.Fprintln(p.stdout, state, s.Name)
	}
	return nil
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
