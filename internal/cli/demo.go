package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/demo"
	"github.com/creditstream/creditstream/producer"
)

type demoCmd struct {
	Registry flags.Registry `embed:""`
	Webhook  flags.Webhook  `embed:""`

	Decisions      uint64   `help:"Applications to emit; 0: no end." default:"0" placeholder:"N"`
	Rate           float64  `help:"Applications per second; 0: as fast as possible." default:"200" placeholder:"N"`
	Scenario       string   `help:"Scenario, from the 2,000th application on: steady, recession, new-segment or broken-feed." default:"steady" placeholder:"NAME"`
	Seed           *uint64  `help:"Makes the population repeatable (default: another one each time)." placeholder:"N"`
	DataDir        string   `help:"Folder of the embedded Kafka; started again with the same one, the demo continues where it stopped (default: a temporary folder, removed at the end)." type:"path" placeholder:"DIR"`
	APIListen      string   `help:"Where the page, the API and its documentation are served (default: 127.0.0.1:8000, or a free port where that is taken)." default:"" name:"api-listen" placeholder:"HOST:PORT" address:"listen"`
	TrustedProxies []string `help:"Addresses and networks (CIDR) of reverse proxies in front of the page." name:"trusted-proxies" placeholder:"ADDRESS,…"`
	InProcess      bool     `help:"Score within this process; by default the scorer is a child process, so that you can kill it and watch it come back."`
	Exit           bool     `help:"End once every application of --decisions is answered, then read the topics back and report what was lost or duplicated; implies --in-process."`
	JSON           bool     `help:"With --exit: print the result as one JSON object." name:"json"`
}

// Help is the second half of `demo --help`.
func (demoCmd) Help() string {
	return `Runs everything in one place on nothing but this binary: an embedded Kafka and Redis, a synthetic population that applies for credit, the scorer, the view in Redis, the API and its page, and drift detection. Choose on the page what happens to the population, and alerts name what moved.

The scenario that --scenario names begins after 2,000 applications and takes 1,000 to reach full strength (chosen on the page, it begins at once). Drift is judged in blocks of 500 decisions, so at 200 a second nothing can fire in the first ten seconds, and alerts come within half a minute after that. Five seconds after each approved application its outcome is emitted (sooner where more than 200 come a second; for at most 500 a second; none with --exit). Applicants default as often as the shipped model expects, until a scenario changes that. Approval ratios of groups are compared with 0.7, since this population does not keep four fifths.

Outside clients can reach Kafka and Redis on the ports it prints. Kafka keeps one hour or 100 MB (with --exit, all of the run), Redis the last 10,000 decisions.

Examples:
  creditstream demo
  creditstream demo --scenario recession --rate 2000
  creditstream demo --decisions 100000 --rate 0 --exit --json`
}

// Run shows decisions until a signal, or until --decisions were made.
func (c *demoCmd) Run(p *process) error {
	switch {
	case c.Exit && c.Decisions == 0:
		return flags.Usagef("--exit needs --decisions: how many to make before ending")
	case c.JSON && !c.Exit:
		return flags.Usagef("--json needs --exit: it prints the result of a run that ends")
	}
	if c.APIListen != "" && !flags.OnLoopback(c.APIListen) {
		return flags.Usagef("--api-listen %s can be reached from other machines, and the demo asks for no key: choose a loopback address", c.APIListen)
	}
	if err := flags.CheckValue("--scenario", c.Scenario, producer.Scenarios()); err != nil {
		return err
	}
	config := demo.Config{
		Decisions: c.Decisions, Rate: c.Rate, Scenario: c.Scenario, Seed: c.Seed, DataDir: c.DataDir, InProcess: c.InProcess, Exit: c.Exit,
		APIListen: c.APIListen, RegistryArgs: c.Registry.Args(), Version: version(), Began: p.began,
		Status: demo.NewStatus(p.stderr), Terminal: onTerminal(p.stderr),
	}
	p = p.loggingTo(config.Status)
	// It warns of alerts, which are told in a line of their own.
	config.Log, config.AlertLog = p.log, newLogger(p.stderr, max(p.logLevel, slog.LevelError), p.logFormat)
	var err error
	if config.Webhook, err = c.Webhook.Config(config.AlertLog); err != nil {
		return err
	}
	if config.Registry, err = c.Registry.Client(p.log); err != nil {
		return err
	}
	if config.Proxies, err = flags.Proxies(p.log, c.TrustedProxies, false); err != nil {
		return err
	}
	result, err := demo.Run(p.ctx, config)
	if err != nil || result == nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(p.stdout).Encode(result)
	} else {
		_, err = fmt.Fprintln(p.stdout, result)
	}
	if err == nil && result.Failed() {
		return exitCode(1)
	}
	return err
}

// loggingTo is the process with its log and standard error above the status. Of
// the log only what is wrong: the status says the rest.
func (p *process) loggingTo(w io.Writer) *process {
	q := *p
	q.stderr = w
	q.log = newLogger(w, max(p.logLevel, slog.LevelWarn), p.logFormat)
	return &q
}
