package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

type modelRouteCmd struct {
	Kafka      flags.Kafka  `embed:""`
	Policy     flags.Policy `embed:""`
	Sign       flags.Sign   `embed:""`
	Wait       flags.Wait   `embed:""`
	Champion   string       `help:"Version that decides (default: the current one; required for the first route). A canary or shadow named here is promoted, and that role ends." placeholder:"VERSION"`
	Canary     canaryFlag   `help:"Version that decides a share of the applications, in steps of 0.01% (default: the current one)." xor:"canary" placeholder:"VERSION=SHARE%"`
	NoCanary   bool         `help:"End the canary." xor:"canary"`
	Shadow     string       `help:"Version that records what it would have decided; must not be the canary (default: the current one)." xor:"shadow" placeholder:"VERSION"`
	NoShadow   bool         `help:"End the shadow." xor:"shadow"`
	SamePolicy bool         `help:"Keep the policy of the current route, as happens without it." xor:"policy" hidden:""`
	Engine     string       `help:"Engine that the replicas run; the bundles are opened on it first: ${enum}." enum:"auto,native,onnx" default:"auto"`
	JSON       bool         `help:"Print JSON." name:"json"`
}

// Help is the second half of `model route --help`.
func (modelRouteCmd) Help() string {
	return `Changes what serves. What the command does not name stays: champion, canary, shadow and policy. --policy default goes back to the default policy, --no-canary and --no-shadow end a role. What changes is printed before it is written. Every replica takes up the route without a restart, as soon as it has opened the bundles.

Of two people who route at once, one is refused: --expect names the revision that you saw last (model history prints it). Sending the same command again, when it is unknown whether it went through, finds its route there already: exit code 0, and nothing is written.

With --wait it reports when every running scorer and API serves the route. A replica that refuses a bundle, or does not serve the route in time, is named with the reason, and the exit code is 1; the route stays.

Examples:
  creditstream model route --champion 2026-11-23.1 --why "first model"
  creditstream model route --canary 2026-12-01.1=10% --expect 0 --why "try the retrained one" --wait 30s
  creditstream model route --no-canary --expect 2 --why "it is worse"`
}

// canaryFlag is a version and its share, "v8=10%" or "v8=0.1".
type canaryFlag struct {
	version string
	share   uint64 // of model.ShareScale
}

// String is the flag as it would be given.
func (c canaryFlag) String() string {
	if c.version == "" {
		return ""
	}
	return release.CanaryText(&schemas.Canary{ModelVersion: c.version, Share: float64(c.share) / model.ShareScale})
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
	r.Mul(r, big.NewRat(model.ShareScale, 1))
	if percent {
		r.Mul(r, big.NewRat(1, 100))
	}
	if !r.IsInt() || r.Sign() <= 0 || r.Cmp(big.NewRat(model.ShareScale, 1)) > 0 {
		return wrong
	}
	c.version, c.share = version, r.Num().Uint64()
	return nil
}

// Run writes the route.
func (c *modelRouteCmd) Run(p *process) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	w, err := beginWriting(p, &c.Kafka, c.Sign, c.Wait)
	if err != nil {
		return err
	}
	defer w.end()
	r, err := release.Route(w.ctx, c.Kafka.Config(p.log).For("route"), c.Kafka.Topics(), release.RouteRequest{
		Change: change, Expect: c.Sign.Expect, By: w.by, At: schemas.At(time.Now()), Why: c.Sign.Why, Engine: c.Engine,
		Before: func(changes []release.Difference) error { return printChanges(p, c.JSON, changes) },
	})
	if err != nil {
		return usageOfRoute(err)
	}
	return printLine(p, c.JSON, lineOfWritten(r), w.wait)
}

// change is what the flags name.
func (c *modelRouteCmd) change() (release.Change, error) {
	out := release.Change{
		Champion: c.Champion, Canary: c.Canary.version, CanaryShare: c.Canary.share, NoCanary: c.NoCanary,
		Shadow: c.Shadow, NoShadow: c.NoShadow,
	}
	if c.Policy.File == "" {
		return out, nil
	}
	var err error
	out.Policy, err = c.Policy.Text()
	return out, err
}

// writing is what a command that writes a route works with.
type writing struct {
	ctx  context.Context // of the write, and its bound
	by   string          // who signs
	wait *routeWait      // nil: nobody waits
	end  func()
}

// beginWriting looks, before a route is written, who signs it, whether it can be waited
// for, and whether the topics would keep it.
func beginWriting(p *process, k *flags.Kafka, s flags.Sign, f flags.Wait) (*writing, error) {
	by, err := s.Signer()
	if err != nil {
		return nil, err
	}
	wait, err := beginWait(p, k, f)
	if err != nil {
		return nil, err
	}
	bounded, cancel := withinModelTime(p)
	w := &writing{bounded.ctx, by, wait, func() { cancel(); wait.close() }}
	if err := app.CheckControlTopics(w.ctx, k.Config(p.log).For("topics")); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// usageOfRoute marks what only the cluster can say is missing on the command line.
func usageOfRoute(err error) error {
	if errors.Is(err, release.ErrNoExpect) || errors.Is(err, release.ErrNoChampion) || errors.Is(err, release.ErrNoChange) {
		return flags.Usage(err)
	}
	return err
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
	PolicyVersion string            `json:"policy_version"`    // "" where the policy is not valid
	Policy        string            `json:"policy"`            // its text
	Existed       bool              `json:"existed,omitempty"` // it was in force already; nothing was written
	// What it changes of the route before; only of one that a command has written.
	Changes    []release.Difference `json:"changes,omitempty"`
	RolledBack *rolledBack          `json:"rolled_back,omitempty"`
	Wait       *waited              `json:"wait,omitempty"` // with --wait: what the replicas make of it

	revision release.Revision
}

func lineOf(r release.Revision) routeLine {
	line := routeLine{
		revision: r, Revision: r.Number, At: r.Route.At, By: r.Route.By, Why: r.Route.Why,
		Champion: r.Route.Champion, Canary: r.Route.Canary, Shadow: r.Route.Shadow, Policy: r.Route.Policy,
	}
	if rules, err := policy.Parse(r.Route.Policy); err == nil {
		line.PolicyVersion = rules.Version
	}
	return line
}

func lineOfWritten(w *release.Written) routeLine {
	line := lineOf(w.Revision)
	line.Existed, line.Changes = w.Existed, w.Changes
	return line
}

// canary is the canary as it is typed, - for none.
func (l *routeLine) canary() string { return cmp.Or(release.CanaryText(l.Canary), "-") }

func (l *routeLine) shadow() string {
	if l.Shadow == nil {
		return "-"
	}
	return *l.Shadow
}

// printChanges says what a route is about to change; a program reads it in the JSON
// that follows, which stays one document.
func printChanges(p *process, asJSON bool, changes []release.Difference) error {
	if asJSON {
		return nil
	}
	for _, one := range changes {
		if _, err := fmt.Fprintln(p.stdout, one); err != nil {
			return err
		}
	}
	return nil
}

// printLine prints a route that was written and, where that was asked for, what the
// replicas make of it.
func printLine(p *process, asJSON bool, line routeLine, w *routeWait) error {
	if !asJSON {
		there := ""
		if line.Existed {
			there = fmt.Sprintf(" is there already (by %s at %s: %s)", line.By, line.At, line.Why)
		}
		if _, err := fmt.Fprintf(p.stdout, "route revision %d%s: champion %s, canary %s, shadow %s, policy %s\n",
			line.Revision, there, line.Champion, line.canary(), line.shadow(), line.PolicyVersion); err != nil || w == nil {
			return err
		}
		return w.until(p, line.revision).print(p)
	}
	if w == nil {
		return printJSON(p.stdout, line)
	}
	line.Wait = w.until(p, line.revision)
	if err := printJSON(p.stdout, line); err != nil {
		return err
	}
	return line.Wait.exit()
}
