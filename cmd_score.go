package main

import (
	"fmt"
	"os"
	"time"

	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer/stream"
)

type scoreCmd struct {
	kafkaFlags
	listenFlags
	modelFlags

	Group    string `help:"Consumer group." default:"scorer" placeholder:"NAME"`
	Instance string `help:"Name of this replica, unique in its group and the same after a restart (default: the host name)." placeholder:"NAME"`
	Sessions int    `help:"Transactional sessions of this process; several overlap one's commit with another's work." default:"2" placeholder:"N"`
	From     string `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
}

// Run scores until a signal.
func (c *scoreCmd) Run(p *process) error {
	from, err := stream.ParseFrom(c.From)
	if err != nil {
		return err
	}
	if c.Sessions < 1 {
		return fmt.Errorf("--sessions %d: expected at least 1", c.Sessions)
	}
	instance := c.Instance
	if instance == "" {
		if instance, err = os.Hostname(); err != nil {
			return fmt.Errorf("--instance is not set and the host has no name: %w", err)
		}
	}
	reg := telemetry.NewRegistry()
	models, err := c.follower(p, c.kafkaFlags, reg)
	if err != nil {
		return err
	}
	s, err := stream.New(stream.Config{
		Kafka: c.config(p, "score-"+instance), Topics: schemas.NewTopics(c.Prefix), Log: p.log,
		Group: c.Group, Instance: instance, Sessions: c.Sessions, From: from,
		Live: models.Live, Registerer: reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	p.log.Info("scoring", "group", c.Group, "instance", instance, "sessions", c.Sessions)
	return serveComponents(p, c.Listen, reg, models, s)
}
