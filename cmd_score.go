package main

import (
	"fmt"
	"os"
	"time"

	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer/stream"
)

type scoreCmd struct {
	kafkaFlags
	listenFlags

	Group    string `help:"Consumer group." default:"scorer" placeholder:"NAME"`
	Instance string `help:"Name of this replica, unique in its group and the same after a restart (default: the host name)." placeholder:"NAME"`
	Sessions int    `help:"Transactional sessions of this process; several overlap one's commit with another's work." default:"2" placeholder:"N"`
	From     string `help:"Where a group without commits begins: start, end or an RFC 3339 time. Needed only when predictions already holds decisions from the stream." placeholder:"start|end|TIME"`
	Engine   string `help:"Engine that computes probabilities: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto"`
	Model    string `help:"Bundle that serves: shipped, the one inside the binary, or a file." default:"shipped" placeholder:"shipped|FILE"`
	Policy   string `help:"Policy file (default: the contract's policy)." type:"existingfile" placeholder:"FILE"`
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
	live, err := c.liveSet()
	if err != nil {
		return err
	}
	reg := telemetry.NewRegistry()
	s, err := stream.New(stream.Config{
		Kafka: c.config(p, "score-"+instance), Topics: schemas.NewTopics(c.Prefix), Log: p.log,
		Group: c.Group, Instance: instance, Sessions: c.Sessions, From: from,
		Live: func() *release.LiveSet { return live }, Registerer: reg, Now: time.Now,
	})
	if err != nil {
		return err
	}
	p.log.Info("scoring", "group", c.Group, "instance", instance, "sessions", c.Sessions,
		"model", live.Champion.Version, "engine", live.Champion.Engine, "policy", live.Policy.Version)
	return serveComponents(p, c.Listen, reg, s)
}

// liveSet is what --model, --engine and --policy name.
func (c *scoreCmd) liveSet() (*release.LiveSet, error) {
	bundle, policy := shipped.Bundle, schemas.DefaultPolicyText
	if c.Model != "shipped" {
		b, err := os.ReadFile(c.Model)
		if err != nil {
			return nil, fmt.Errorf("--model: %w", err)
		}
		bundle = b
	}
	if c.Policy != "" {
		b, err := os.ReadFile(c.Policy)
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		policy = string(b)
	}
	set, err := release.Fixed(bundle, c.Engine, policy)
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w", c.Model, err)
	}
	return set, nil
}
