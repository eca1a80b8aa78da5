package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/telemetry"
	"github.com/creditstream/creditstream/schemas"
)

type viewCmd struct {
	kafkaFlags
	redisFlags
	listenFlags

	Group      string        `help:"Consumer group." default:"view" placeholder:"NAME"`
	TTL        time.Duration `help:"How long a prediction stays, from when the log took it (default ${default}: 30 days)." default:"720h" name:"ttl" placeholder:"DURATION"`
	DecidedTTL time.Duration `help:"How long what outcomes are joined with stays (default ${default}: 800 days)." default:"19200h" name:"decided-ttl" placeholder:"DURATION"`
	Rebuild    bool          `help:"Write the whole view anew from the log, remove what the log no longer holds, and end. Other replicas and readers go on meanwhile; interrupted, the next run goes on."`
	JSON       bool          `help:"With --rebuild: print the summary as one JSON object." name:"json"`
}

// Help is the second half of `view --help`.
func (viewCmd) Help() string {
	return `Writes prediction:ID, the prediction's JSON, and decided:ID, a small hash of what outcomes need, for every prediction, and only forward: a later one is never replaced by an earlier. How far it has come is kept in Redis beside the data, so a Redis that was emptied is noticed and filled again from the log; the component is unready meanwhile. While Redis is away it waits.

Several replicas share the partitions. Redis must not evict keys: set maxmemory-policy noeviction.`
}

// Run follows the predictions until a signal, or rebuilds the view once.
func (c *viewCmd) Run(p *process) error {
	reg := telemetry.NewRegistry()
	client := c.client()
	defer client.Close() //nolint:errcheck // nothing is left to be written
	codec, err := c.codec(p, reg, c.Prefix)
	if err != nil {
		return err
	}
	config := view.Config{
		Kafka: c.config(p, "view"), Topics: schemas.NewTopics(c.Prefix), Codec: codec, Redis: client, Group: c.Group,
		Lifetimes: view.Lifetimes{Prediction: c.TTL, Decided: c.DecidedTTL}, Log: p.log, Registerer: reg,
	}
	v, err := view.New(config)
	if err != nil {
		return err
	}
	if !c.Rebuild {
		p.log.Info("following predictions", "group", c.Group, "redis", c.Redis)
		return serveComponents(p, c.Listen, reg, withCodec(codec, v)...)
	}
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
