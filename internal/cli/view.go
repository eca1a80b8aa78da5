package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

type viewCmd struct {
	Kafka    flags.Kafka    `embed:""`
	Redis    flags.Redis    `embed:""`
	Listen   flags.Listen   `embed:""`
	Instance flags.Instance `embed:""`
	View     flags.View     `embed:""`

	Group            string `help:"Consumer group (default PREFIX.view, or view as long as only that has commits)." placeholder:"NAME"`
	Rebuild          bool   `help:"Write the whole view again from the log, remove what the log no longer holds, and end. Other replicas and readers continue; after an interruption the next run continues."`
	TakeOver         bool   `help:"With --rebuild: replace the view of another Kafka cluster's log that Redis holds under this prefix. For a cluster that no longer exists."`
	RemoveUnprefixed bool   `help:"Remove the keys without a prefix that earlier releases made from this log, and end. Only once their last view has ended: it would write them again."`
	SkipAvro         bool   `help:"With --rebuild: leave out values in Avro that cannot be read, without --schema-registry or because the registry refuses their schema, instead of ending at the first. For topics that hold foreign records."`
	JSON             bool   `help:"With --rebuild or --remove-unprefixed: print the summary as one JSON object." name:"json"`
}

// Help is the second half of `view --help`.
func (viewCmd) Help() string {
	return `Writes PREFIX:prediction:ID, the prediction's JSON, and PREFIX:decided:ID, the last eight decisions on the application, which outcomes are joined with. It never replaces a later prediction by an earlier one. Its position is kept in Redis beside the data, so it notices a Redis that was emptied and fills it again from the log; it is unready meanwhile. While Redis is away it waits.

Redis belongs to one log under one prefix: a view of another Kafka cluster under the same prefix is refused. When a topic is deleted and created again, the view notices and replaces what it kept of the old one.

Several replicas share the partitions. Redis must not evict keys: set maxmemory-policy noeviction.`
}

// Validate refuses what does not go together.
func (c *viewCmd) Validate() error {
	switch {
	case c.TakeOver && !c.Rebuild:
		return errors.New("--take-over goes with --rebuild")
	case c.RemoveUnprefixed && c.Rebuild:
		return errors.New("--remove-unprefixed and --rebuild are both set: set one of them")
	}
	return nil
}

// Run follows the predictions until a signal, or rebuilds the view once.
func (c *viewCmd) Run(p *process) error {
	s, err := newServices(p, &c.Kafka, c.Instance, flags.Model{})
	if err != nil {
		return err
	}
	defer s.Close()
	if c.RemoveUnprefixed {
		return c.removeUnprefixed(p, s)
	}
	if !c.Rebuild {
		if err := addView(s, &c.View, &c.Redis, c.Group); err != nil {
			return err
		}
		return serve(p, s, c.Listen)
	}
	config := s.ViewConfig(c.View.Config(&c.Redis, c.Group))
	config.SkipAvro, config.TakeOver = c.SkipAvro, c.TakeOver
	done, err := view.Rebuild(p.ctx, config, p.stderr)
	if err != nil {
		if p.ctx.Err() != nil {
			return fmt.Errorf("interrupted; run it again to go on with rebuild %d", done.Generation)
		}
		return c.Redis.Config().Explain(err)
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(done)
	}
	fmt.Fprintf(p.stdout, "rebuild %d: %d predictions read, %d written, %d keys removed that the log no longer holds\n", done.Generation, done.Read, done.Written, done.Removed)
	return nil
}

func (c *viewCmd) removeUnprefixed(p *process, s *app.Services) error {
	removed, err := view.RemoveUnprefixed(p.ctx, s.ViewConfig(c.View.Config(&c.Redis, c.Group)))
	if err != nil {
		return c.Redis.Config().Explain(err)
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(map[string]int64{"removed_keys": removed})
	}
	fmt.Fprintf(p.stdout, "%d keys without a prefix removed; others like them are of another log, or were not written by a view\n", removed)
	return nil
}

// addView adds a view.
func addView(s *app.Services, f *flags.View, r *flags.Redis, group string) error {
	_, err := s.AddView(f.Config(r, group))
	return err
}
