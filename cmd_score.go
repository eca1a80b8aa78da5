package main

import (
	"errors"
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

	Group         string `help:"Consumer group." default:"scorer" placeholder:"NAME"`
	Instance      string `help:"Name of this replica, unique in its group and the same after a restart (default: the host name)." placeholder:"NAME"`
	Sessions      int    `help:"Transactional sessions of this process; several overlap one's commit with another's work." default:"2" placeholder:"N"`
	GroupProtocol string `help:"Group protocol: ${enum}. consumer (KIP-848, Kafka 4) takes its timeouts from the broker's group configuration; see topics apply." enum:"classic,consumer" default:"classic"`
	Static        bool   `help:"Static group membership, classic only: a restart within the session timeout moves no partition, but SIGTERM hands none over before that timeout."`
	StopWithStdin bool   `hidden:"" help:"Stop when standard input ends: the demo's scorer does not outlive it."`
	From          string `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
}

// maxSessions is more than any process has cores for.
const maxSessions = 64

// Run scores until a signal.
func (c *scoreCmd) Run(p *process) error {
	from, err := stream.ParseFrom(c.From)
	if err != nil {
		return err
	}
	if c.Sessions < 1 || c.Sessions > maxSessions {
		return fmt.Errorf("--sessions %d: expected 1 … %d", c.Sessions, maxSessions)
	}
	if c.Static && c.GroupProtocol != stream.ProtocolClassic {
		return errors.New("--static needs --group-protocol classic: with consumer a killed member's id stays taken until its session expires")
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
	codec, err := c.codec(p, reg, c.Prefix, schemas.EventPrediction)
	if err != nil {
		return err
	}
	s, err := stream.New(stream.Config{
		Kafka: c.config(p, "score-"+instance), Topics: schemas.NewTopics(c.Prefix), Codec: codec, Log: p.log,
		Group: c.Group, Instance: instance, Sessions: c.Sessions,
		Protocol: c.GroupProtocol, Static: c.Static, From: from,
		Live: models.Live, Registerer: reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if c.StopWithStdin {
		p = p.with(untilClosed(p.ctx, p.stdin))
	}
	p.log.Info("scoring", "group", c.Group, "instance", instance, "sessions", c.Sessions)
	return serveComponents(p, c.Listen, reg, withCodec(codec, models, s)...)
}
