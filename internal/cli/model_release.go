package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/demo"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

type modelReleaseCmd struct {
	Bundle  bundleArg   `embed:""`
	Kafka   flags.Kafka `embed:""`
	Engine  string      `help:"Engine that the bundle must open on: ${enum}. auto is native; one that only onnx opens may be shadow and nothing else." enum:"auto,native,onnx" default:"auto"`
	First   bool        `help:"Where no route exists yet, also write the first one: to this version, under the default policy. Where one exists it stays."`
	Ungated *string     `help:"Why a bundle that has been through no gate may serve; the record keeps it. A bundle that failed a gate is still refused." placeholder:"WHY"`
	By      string      `help:"With --first: who does this (default: the system's user)." placeholder:"NAME"`
	JSON    bool        `help:"Print JSON." name:"json"`
}

// whyFirst stands in the history of routes.
const whyFirst = "the first model released"

// Run writes the bundle unless it is there already.
func (c *modelReleaseCmd) Run(p *process) error {
	ungated := ""
	if c.Bundle.Name == demoName {
		ungated = demo.WhyUngated
	}
	if c.Ungated != nil {
		ungated = *c.Ungated
		if err := release.CheckUngated(ungated); err != nil {
			return err
		}
	}
	bundle, err := c.Bundle.read()
	if err != nil {
		return err
	}
	p, cancel := withinModelTime(p)
	defer cancel()
	if err := app.CheckControlTopics(p.ctx, c.Kafka.Config(p.log).For("topics")); err != nil {
		return err
	}
	r, err := release.Release(p.ctx, c.Kafka.Config(p.log).For("release"), c.Kafka.Topics(), bundle, c.Engine, ungated)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Bundle.Name, err)
	}
	out := released{Version: r.Model.Version, Digest: r.Model.Digest, Existed: r.Existed, gated: gatedOf(r.Gates, r.Ungated), Unwatched: r.Model.Reference.Unwatched()}
	if c.First {
		if out.Route, err = c.first(p, r.Model.Version); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(p.stdout, out)
	}
	if r.Existed {
		fmt.Fprintf(p.stdout, "model %s is there already, the same bytes (%s)\n", out.Version, out.Digest)
	} else {
		fmt.Fprintf(p.stdout, "released model %s (%s, %d bytes)\n", out.Version, out.Digest, len(bundle))
	}
	if out.GatesWhy != "" {
		fmt.Fprintf(p.stdout, "gates %s: %s\n", out.Gates, out.GatesWhy)
	}
	printUnwatched(p.stdout, out.Unwatched)
	switch {
	case out.Route != nil:
		fmt.Fprintf(p.stdout, "route revision %d: champion %s, policy %s\n", out.Route.Revision, out.Route.Champion, out.Route.PolicyVersion)
	case !r.Existed && !c.First:
		fmt.Fprintf(p.stdout, "it serves once a route names it:\n  %s\n", r.RouteCommand("released"))
	}
	return nil
}

// released is what `model release --json` prints.
type released struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
	Existed bool   `json:"existed"` // the same bytes were there
	gated
	Unwatched []model.Unwatched `json:"unwatched"`       // features of which drift cannot be seen
	Route     *routeLine        `json:"route,omitempty"` // the first, where this run wrote it
}

// printUnwatched says of which features drift will not be seen.
func printUnwatched(to io.Writer, list []model.Unwatched) {
	for _, u := range list {
		fmt.Fprintf(to, "drift of %s cannot be watched: %s\n", u.Feature, u.Why)
	}
}

// gated is what a bundle's gates came to, as commands print it.
type gated struct {
	Gates    string `json:"gates"`               // passed, forced, failed, incomplete, none
	GatesWhy string `json:"gates_why,omitempty"` // forced, none: why it may serve all the same; incomplete: the gates that are missing
}

// gatedOf says it of a bundle with the reason that its record gives.
func gatedOf(g model.Gates, ungated string) gated {
	switch g.Verdict {
	case model.GatesNone:
		return gated{g.Verdict, ungated}
	case model.GatesPart:
		return gated{g.Verdict, "it lacks " + strings.Join(g.Missing, "; ")}
	}
	return gated{g.Verdict, g.Why}
}

// first writes the first route; nil where one exists.
func (c *modelReleaseCmd) first(p *process, version string) (*routeLine, error) {
	by, err := flags.Signer(c.By)
	if err != nil {
		return nil, err
	}
	config, topics := c.Kafka.Config(p.log).For("route"), c.Kafka.Topics()
	history, err := release.ReadAll(p.ctx, config, topics)
	if err != nil || history.Current() != nil {
		return nil, err
	}
	r, err := release.Route(p.ctx, config, topics, release.RouteRequest{
		Change: release.Change{Champion: version}, By: by, At: schemas.At(time.Now()), Why: whyFirst, Engine: c.Engine,
	})
	if err != nil {
		return nil, err
	}
	line := lineOf(r.Revision)
	return &line, nil
}
