package main

import (
	"time"

	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer/stream"
)

type scoreCmd struct {
	kafkaFlags
	listenFlags
	modelFlags
	memberFlags

	Group         string `help:"Consumer group." default:"scorer" placeholder:"NAME"`
	StopWithStdin bool   `hidden:"" help:"Stop when standard input ends: the demo's scorer does not outlive it."`
	From          string `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
}

// Run scores until a signal.
func (c *scoreCmd) Run(p *process) error {
	from, err := member.ParseFrom(c.From)
	if err != nil {
		return err
	}
	if err := c.checkMember(); err != nil {
		return err
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
		Kafka: c.config(p, "score-"+c.Instance), Topics: schemas.NewTopics(c.Prefix), Codec: codec, Log: p.log,
		Group: c.Group, Instance: c.Instance, Sessions: c.Sessions,
		Protocol: c.GroupProtocol, Static: c.Static, From: from,
		Live: models.Live, Registerer: reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if c.StopWithStdin {
		p = p.with(untilClosed(p.ctx, p.stdin))
	}
	p.log.Info("scoring", "group", c.Group, "instance", c.Instance, "sessions", c.Sessions)
	return serveComponents(p, c.Listen, reg, withCodec(codec, models, s)...)
}
