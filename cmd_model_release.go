package main

import (
	"fmt"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

type modelReleaseCmd struct {
	bundleArg
	kafkaFlags
	Engine string `help:"Engine that the bundle must open on: ${enum}. auto is native; one that only onnx opens may be shadow and nothing else." enum:"auto,native,onnx" default:"auto"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run writes the bundle unless it is there already.
func (c *modelReleaseCmd) Run(p *process) error {
	bundle, err := c.read()
	if err != nil {
		return err
	}
	p, cancel := withinModelTime(p)
	defer cancel()
	r, err := release.Release(p.ctx, c.config(p, "release"), schemas.NewTopics(c.Prefix), bundle, c.Engine)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Bundle, err)
	}
	if c.JSON {
		return printJSON(p.stdout, map[string]any{"version": r.Model.Version, "digest": r.Model.Digest, "existed": r.Existed})
	}
	if r.Existed {
		fmt.Fprintf(p.stdout, "model %s is there already, the same bytes (%s)\n", r.Model.Version, r.Model.Digest)
		return nil
	}
	fmt.Fprintf(p.stdout, "released model %s (%s, %d bytes); it serves once a route names it: creditstream model route --champion %s\n", r.Model.Version, r.Model.Digest, len(bundle), r.Model.Version)
	return nil
}
