package cli

import (
	"slices"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/schemas"
)

type runCmd struct {
	Components []string `arg:"" help:"What to run: score, view, api, drift." placeholder:"COMPONENT"`

	Kafka  flags.Kafka  `embed:""`
	Redis  flags.Redis  `embed:""`
	Listen flags.Listen `embed:""`
	Model  flags.Model  `embed:""`
	Member flags.Member `embed:""`
	Score  flags.Score  `embed:""`
	View   flags.View   `embed:""`
	API    flags.API    `embed:""`
	Drift  flags.Drift  `embed:""`

	ViewGroup  string `help:"Consumer group of the view (default PREFIX.view, or view as long as only that has commits)." placeholder:"NAME"`
	DriftGroup string `help:"Consumer group of drift (default PREFIX.drift, or drift as long as only that has commits)." placeholder:"NAME"`
	DriftFrom  string `help:"Where a group of drift without commits begins (default: a day ago)." placeholder:"start|end|TIME"`
}

// Help is the second half of `run --help`.
func (runCmd) Help() string {
	return `Runs several components in one process, with the flags they have alone; only the groups of the view and of drift have names of their own. They share one set of models, one /metrics and one readiness: the process is ready when all of them are, and the first that fails ends it.

Examples:
  creditstream run score view api drift --model shipped
  creditstream run score view --listen :9000 --sessions 1`
}

// runnable is a component that can run beside others.
type runnable struct {
	name   string
	writes []schemas.Event
	add    func(*app.Services) error
}

// runnables are those there are.
func (c *runCmd) runnables(p *process) []runnable {
	return []runnable{
		{app.ScoreName, []schemas.Event{schemas.EventPrediction}, func(s *app.Services) error { return addScorer(s, &c.Score, &c.Kafka, &c.Member) }},
		{app.ViewName, nil, func(s *app.Services) error { return addView(s, &c.View, &c.Redis, c.ViewGroup) }},
		{app.APIName, []schemas.Event{schemas.EventPrediction}, func(s *app.Services) error { return addAPI(p, s, &c.API, &c.Redis) }},
		{app.DriftName, nil, func(s *app.Services) error {
			return addDrift(p, s, &c.Drift, &c.Redis, &c.Member, c.DriftGroup, c.DriftFrom)
		}},
	}
}

// chosen are the components that were asked for, in the order they were.
func (c *runCmd) chosen(p *process) (chosen []runnable, writes []schemas.Event, err error) {
	var names []string
	for _, one := range c.runnables(p) {
		names = append(names, one.name)
	}
	for i, name := range c.Components {
		at := slices.Index(names, name)
		switch {
		case at < 0:
			return nil, nil, flags.CheckValue("run", name, names)
		case slices.Contains(c.Components[:i], name):
			return nil, nil, flags.Usagef("run %s: named twice", name)
		}
		one := c.runnables(p)[at]
		chosen = append(chosen, one)
		for _, e := range one.writes {
			if !slices.Contains(writes, e) {
				writes = append(writes, e)
			}
		}
	}
	return chosen, writes, nil
}

// Run runs them until a signal.
func (c *runCmd) Run(p *process) error {
	chosen, writes, err := c.chosen(p)
	if err != nil {
		return err
	}
	s, err := newServices(p, &c.Kafka, c.Member.Instance, c.Model, writes...)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, one := range chosen {
		if err := one.add(s); err != nil {
			return err
		}
	}
	return serve(p, s, c.Listen)
}
