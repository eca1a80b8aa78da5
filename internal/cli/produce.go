package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/demo"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

type produceCmd struct {
	Kafka    flags.Kafka    `embed:""`
	Listen   flags.Listen   `embed:""`
	Instance flags.Instance `embed:""`

	File       string `help:"Replay the rows of a CSV file: the UCI file's column names, or the contract's." type:"path" placeholder:"CSV" xor:"source" group:"Who applies"`
	Population bool   `help:"Draw applicants from a synthetic population (the default without --file)." xor:"source" group:"Who applies"`
	Loop       bool   `help:"With --file: start again at its end; ids of pass n end in .n." group:"Who applies"`
	IDPrefix   string `help:"Prefix of every application_id." default:"A-" name:"id-prefix" placeholder:"TEXT" group:"Who applies"`

	Count uint64  `help:"Applications to emit; 0: no end (with --file: every row once)." default:"0" placeholder:"N" group:"How many, how fast"`
	Rate  float64 `help:"Applications per second; 0: as fast as possible." default:"1000" placeholder:"N" group:"How many, how fast"`
	Seed  *uint64 `help:"Makes a population repeatable; it is part of the ids (default: another one each time)." placeholder:"N" group:"How many, how fast"`
	Start uint64  `help:"Number of the first application, to continue where a run with this seed or file stopped." default:"0" placeholder:"N" group:"How many, how fast"`

	Scenario      string  `help:"Scenario: steady, recession, new-segment or broken-feed." default:"steady" placeholder:"NAME" group:"What happens"`
	ScenarioAfter uint64  `help:"Applications before the scenario begins." default:"5000" placeholder:"N" group:"What happens"`
	ScenarioRamp  uint64  `help:"Applications until it is at full strength (0: at once); how long each fault of a broken feed lasts." default:"5000" placeholder:"N" group:"What happens"`
	Malformed     float64 `help:"Malformed records to mix in, as a share of the applications." default:"0" placeholder:"SHARE" group:"What happens"`

	OutcomesAfter time.Duration `help:"Emit an application's outcome this long after it (30s, 24h); 0: never." default:"0s" placeholder:"DURATION" group:"Outcomes"`
	OutcomesFor   string        `help:"Whose outcomes are emitted: those of approved applications, or of all." enum:"approved,all" default:"approved" placeholder:"approved|all" group:"Outcomes"`

	JSON bool `help:"Print the summary as one JSON object." name:"json"`
}

// Help is the second half of `produce --help`.
func (produceCmd) Help() string {
	return `Emits applications to <prefix>.applications, by default those of a synthetic population modelled on the UCI credit card clients, at 1,000 a second until stopped. The model that fits them is demo ("creditstream model release demo"): the shipped graph, with a reference of this population, whose members default as often as that graph expects. Against the shipped model's reference, the UCI data, alerts on drift fire within minutes.

Ids of a population are the prefix, a tag of the seed and the application's number (A-4t7h2c-000000123), so another run emits other applications unless it has the same --seed; to continue one, add --start with the number that the summary names. Ids of a file are the prefix and its ID column exactly as the file has it (A-123), or its application_id column without the prefix; a row without an id, or with nothing but empty fields, ends the run, naming line and column.

Scenarios begin after --scenario-after applications:
  steady       nothing changes
  recession    payment delays rise, payments fall, and applicants default more often
  new-segment  up to six in ten are 18 to 25, with low limits and hardly any history
  broken-feed  pay_0 is null, then limit_bal constant, then age out of range, then pay_amt1 a hundred times too large; then as long a clean feed, and again; malformed records throughout the faults

Examples:
  creditstream produce --count 10000
  creditstream produce --file UCI_Credit_Card.csv --loop --rate 500
  creditstream produce --count 1000 --rate 0 --malformed 0.05 --json
  creditstream produce --scenario recession --seed 7 --outcomes-after 1m`
}

// Run emits applications until the count, the end of the file or a signal.
func (c *produceCmd) Run(p *process) error {
	switch {
	case c.IDPrefix == "":
		return flags.Usagef("--id-prefix: must not be empty")
	case c.OutcomesFor == producer.OutcomesForAll && c.OutcomesAfter == 0:
		return flags.Usagef("--outcomes-for all tells none: set --outcomes-after too")
	}
	if c.Scenario != "" {
		if err := flags.CheckValue("--scenario", c.Scenario, producer.Scenarios()); err != nil {
			return err
		}
	}
	config := c.producerConfig(p)
	if c.File == "" && c.OutcomesAfter > 0 {
		m, err := demo.Shipped()
		if err != nil {
			return err
		}
		defer m.Close()
		config.Truth = demo.Truth(m)
	}
	if err := config.Check(); err != nil {
		return flags.Usage(err)
	}
	services, err := newServices(p, &c.Kafka, c.Instance, flags.Model{}, schemas.EventApplication, schemas.EventOutcome)
	if err != nil {
		return err
	}
	defer services.Close()
	config.Registerer, config.Codec = services.Metrics(), services.Codec()
	prod, err := producer.New(config)
	if err != nil {
		return err
	}
	services.Add(app.ProduceReport(), false, prod)
	at, err := listen(services, c.Listen)
	if err != nil {
		return err
	}
	if c.File == "" && c.Seed == nil {
		p.log.Info("drawing a new population", "seed", config.Seed)
	}
	show, stop := context.WithCancel(context.Background())
	var shown sync.WaitGroup
	shown.Go(func() { prod.ShowProgress(show, p.stderr, onTerminal(p.stderr), c.Count) })
	err = services.ReportedFrom(prod.Begun(), func() error {
		if at == nil && services.Codec() == nil {
			return prod.Run(p.ctx)
		}
		return services.Run(p.ctx, at)
	})
	stop()
	shown.Wait()

	s := prod.Summary()
	s.Interrupted = p.ctx.Err() != nil
	if c.JSON {
		return errors.Join(err, json.NewEncoder(p.stdout).Encode(s))
	}
	if err == nil || s.Produced > 0 {
		fmt.Fprintln(p.stdout, s)
		if s.Interrupted && s.Unacknowledged == 0 {
			fmt.Fprintf(p.stdout, "go on with: %s\n", s.GoOn())
		}
	}
	return err
}

func (c *produceCmd) producerConfig(p *process) producer.Config {
	seed := rand.Uint64N(1_000_000_000)
	if c.Seed != nil {
		seed = *c.Seed
	}
	return producer.Config{
		Kafka: c.Kafka.Config(p.log).For("produce"), Topics: c.Kafka.Topics(), Log: p.log,
		File: c.File, Loop: c.Loop, Seed: seed,
		Start: c.Start, Count: c.Count, Rate: c.Rate, IDPrefix: c.IDPrefix,
		Scenario: c.Scenario, ScenarioAfter: c.ScenarioAfter, ScenarioRamp: max(c.ScenarioRamp, 1),
		Malformed: c.Malformed, OutcomesAfter: c.OutcomesAfter, OutcomesFor: c.OutcomesFor,
	}
}
