package main

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/schemas"
)

type modelRouteCmd struct {
	kafkaFlags
	policyFlags
	signFlags
	waitFlags
	Champion string     `help:"Version that decides." required:"" placeholder:"VERSION"`
	Canary   canaryFlag `help:"Version that decides a share of the applications, in steps of 0.01%." placeholder:"VERSION=SHARE%"`
	Shadow   string     `help:"Version that says what it would have decided; not the canary." placeholder:"VERSION"`
	Engine   string     `help:"Engine that the replicas run; the bundles are opened on it first: ${enum}." enum:"auto,native,onnx" default:"auto"`
	JSON     bool       `help:"Print JSON." name:"json"`
}

// Help is the second half of `model route --help`.
func (modelRouteCmd) Help() string {
	return `A route says everything that serves: a canary, a shadow or a policy that it does not name serves no longer. Every replica takes it up within a moment, without a restart, once it has opened the bundles.

Of two people who route at once, one is refused: --expect names the revision that was seen last (model history prints it).

With --wait it says when every running scorer and API serves the route. One that refuses a bundle, or does not serve it in time, is named with the reason, and the exit code is 1; the route stands all the same.

Examples:
  creditstream model route --champion 2026-11-23.1 --why "first model"
  creditstream model route --champion 2026-11-23.1 --canary 2026-12-01.1=10% --expect 0 --why "try the retrained one" --wait 30s`
}

// canaryFlag is a version and its share, "v8=10%" or "v8=0.1".
type canaryFlag struct {
	version string
	share   uint64 // of release.ShareScale
}

// String is the flag as it would be given.
func (c canaryFlag) String() string {
	if c.version == "" {
		return ""
	}
	return fmt.Sprintf("%s=%g%%", c.version, 100*float64(c.share)/release.ShareScale)
}

// UnmarshalText is how the flag is read.
func (c *canaryFlag) UnmarshalText(b []byte) error {
	text := string(b)
	version, share, ok := strings.Cut(text, "=")
	number, percent := strings.CutSuffix(share, "%")
	wrong := fmt.Errorf("%q: expected VERSION=SHARE with a share of 0.01%% … 100%% in steps of 0.01%%, as v8=10%%", text)
	if !ok || version == "" || len(number) == 0 || len(number) > 12 || strings.Trim(number, "0123456789.") != "" {
		return wrong
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return wrong
	}
	r.Mul(r, big.NewRat(release.ShareScale, 1))
	if percent {
		r.Mul(r, big.NewRat(1, 100))
	}
	if !r.IsInt() || r.Sign() <= 0 || r.Cmp(big.NewRat(release.ShareScale, 1)) > 0 {
		return wrong
	}
	c.version, c.share = version, r.Num().Uint64()
	return nil
}

// Run writes the route.
func (c *modelRouteCmd) Run(p *process) error {
	by, err := c.by()
	if err != nil {
		return err
	}
	policy, err := c.text()
	if err != nil {
		return err
	}
	w, err := c.begin(p, c.kafkaFlags)
	if err != nil {
		return err
	}
	defer w.close()
	bounded, cancel := withinModelTime(p)
	defer cancel()
	r, err := release.Route(bounded.ctx, c.config(p, "route"), schemas.NewTopics(c.Prefix), release.RouteRequest{
		Champion: c.Champion, Canary: c.Canary.version, CanaryShare: c.Canary.share, Shadow: c.Shadow, Policy: policy,
		Expect: c.Expect, By: by, At: schemas.At(time.Now()), Why: c.Why, Engine: c.Engine,
	})
	if err != nil {
		return err
	}
	return printRevision(p, c.JSON, r, w)
}

type modelRollbackCmd struct {
	kafkaFlags
	signFlags
	waitFlags
	Engine string `help:"Engine that the replicas run: ${enum}." enum:"auto,native,onnx" default:"auto"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Help is the second half of `model rollback --help`.
func (modelRollbackCmd) Help() string {
	return `Writes a new route to the champion and the policy of the last revision with another champion than the current one, without canary or shadow. Rolling back twice is therefore back where it began; to go further, name the version: model route --champion.`
}

// Run writes the route back.
func (c *modelRollbackCmd) Run(p *process) error {
	by, err := c.by()
	if err != nil {
		return err
	}
	w, err := c.begin(p, c.kafkaFlags)
	if err != nil {
		return err
	}
	defer w.close()
	bounded, cancel := withinModelTime(p)
	defer cancel()
	r, from, err := release.Rollback(bounded.ctx, c.config(p, "route"), schemas.NewTopics(c.Prefix), release.RollbackRequest{
		Expect: c.Expect, By: by, At: schemas.At(time.Now()), Why: c.Why, Engine: c.Engine,
	})
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(p.stdout, "back to the champion and the policy of revision %d\n", from.Number)
	}
	return printRevision(p, c.JSON, r, w)
}

// routeLine is a revision as commands print it.
type routeLine struct {
	Revision      int64             `json:"revision"`
	At            schemas.Timestamp `json:"at"`
	By            string            `json:"by"`
	Why           string            `json:"why"`
	Champion      string            `json:"champion"`
	Canary        *schemas.Canary   `json:"canary"`
	Shadow        *string           `json:"shadow"`
	PolicyVersion string            `json:"policy_version"` // "" where the policy is not valid
	Policy        string            `json:"policy"`         // its text
	Wait          *waited           `json:"wait,omitempty"` // with --wait: what the replicas make of it
}

func lineOf(r release.Revision) routeLine {
	line := routeLine{
		Revision: r.Number, At: r.Route.At, By: r.Route.By, Why: r.Route.Why,
		Champion: r.Route.Champion, Canary: r.Route.Canary, Shadow: r.Route.Shadow, Policy: r.Route.Policy,
	}
	if policy, err := schemas.ParsePolicy(r.Route.Policy); err == nil {
		line.PolicyVersion = policy.Version
	}
	return line
}

// canary is the canary as it is typed, - for none.
func (l *routeLine) canary() string {
	if l.Canary == nil {
		return "-"
	}
	return fmt.Sprintf("%s=%.4g%%", l.Canary.ModelVersion, l.Canary.Share*100)
}

func (l *routeLine) shadow() string {
	if l.Shadow == nil {
		return "-"
	}
	return *l.Shadow
}

// printRevision prints a route that was written and, where that was asked for, what
// the replicas make of it.
func printRevision(p *process, asJSON bool, r *release.Revision, w *routeWait) error {
	line := lineOf(*r)
	if !asJSON {
		if _, err := fmt.Fprintf(p.stdout, "route revision %d: champion %s, canary %s, shadow %s, policy %s\n",
			line.Revision, line.Champion, line.canary(), line.shadow(), line.PolicyVersion); err != nil || w == nil {
			return err
		}
		return w.until(p, r).print(p)
	}
	if w == nil {
		return printJSON(p.stdout, line)
	}
	line.Wait = w.until(p, r)
	if err := printJSON(p.stdout, line); err != nil {
		return err
	}
	return line.Wait.exit()
}
