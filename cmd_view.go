package main

import (
	"encoding/json"
	"fmt"

	"github.com/creditstream/creditstream/consumer/view"
)

type viewCmd struct {
	kafkaFlags
	redisFlags
	listenFlags
	instanceFlags
	viewFlags

	Group    string `help:"Consumer group (default PREFIX.view, or view as long as only that has commits)." placeholder:"NAME"`
	Rebuild  bool   `help:"Write the whole view anew from the log, remove what the log no longer holds, and end. Other replicas and readers go on meanwhile; interrupted, the next run goes on."`
	SkipAvro bool   `help:"With --rebuild and without --schema-registry: leave out values in Avro instead of ending at the first. For topics on which something foreign was written."`
	JSON     bool   `help:"With --rebuild: print the summary as one JSON object." name:"json"`
}

// Help is the second half of `view --help`.
func (viewCmd) Help() string {
	return `Writes PREFIX:prediction:ID, the prediction's JSON, and PREFIX:decided:ID, a small hash of what outcomes need, for every prediction, and only forward: a later one is never replaced by an earlier. How far it has come is kept in Redis beside the data, so a Redis that was emptied is noticed and filled again from the log; the component is unready meanwhile. While Redis is away it waits.

Several replicas share the partitions. Redis must not evict keys: set maxmemory-policy noeviction.`
}

// Run follows the predictions until a signal, or rebuilds the view once.
func (c *viewCmd) Run(p *process) error {
	s, err := newServices(p, c.kafkaFlags, c.instanceFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if !c.Rebuild {
		if err := c.addView(s, c.redisFlags, c.Group); err != nil {
			return err
		}
		return s.serve(c.Listen)
	}
	config := c.viewConfig(s, c.redisFlags, c.Group)
	config.SkipAvro = c.SkipAvro
	done, err := view.Rebuild(p.ctx, config, p.stderr)
	if err != nil {
		if p.ctx.Err() != nil {
			return fmt.Errorf("interrupted; run it again to go on with rebuild %d", done.Generation)
		}
		return err
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(done)
	}
	fmt.Fprintf(p.stdout, "rebuild %d: %d predictions read, %d written, %d keys removed that the log no longer holds\n", done.Generation, done.Read, done.Written, done.Removed)
	return nil
}
