package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/lifecycle"

	"github.com/creditstream/creditstream/producer"
)

type demoCmd struct {
	Registry flags.Registry `embed:""`
	Webhook  flags.Webhook  `embed:""`

	Decisions      uint64   `help:"Applications to emit; 0: no end." default:"0" placeholder:"N"`
	Rate           float64  `help:"Applications per second; 0: as fast as possible." default:"200" placeholder:"N"`
	Scenario       string   `help:"What happens, from the 2,000th application on: steady, recession, new-segment or broken-feed." default:"steady" placeholder:"NAME"`
	Seed           *uint64  `help:"Makes the population repeatable (default: another one each time)." placeholder:"N"`
	DataDir        string   `help:"Folder of the embedded Kafka; started again with the same one, the demo goes on where it stopped (default: a temporary folder, removed at the end)." type:"path" placeholder:"DIR"`
	APIListen      string   `help:"Where the page, the API and its documentation are served (default: 127.0.0.1:8000, or a free port where that is taken)." default:"" name:"api-listen" placeholder:"HOST:PORT" address:"listen"`
	TrustedProxies []string `help:"Addresses and networks (CIDR) of proxies that may lead to the page." name:"trusted-proxies" placeholder:"ADDRESS,…"`
	InProcess      bool     `help:"Score within this process; by default the scorer is a child process, so that it can be killed and be seen to come back."`
	Exit           bool     `help:"End once every application of --decisions is answered, then read the topics back and say what was lost or came twice; implies --in-process."`
	JSON           bool     `help:"With --exit: print the result as one JSON object." name:"json"`
}

// Help is the second half of `demo --help`.
func (demoCmd) Help() string {
	return `Runs everything in one place on nothing but this binary: an embedded Kafka and Redis, a synthetic population that applies for credit, the scorer, the view in Redis, the API and its page, and what watches for drift: choose on the page what happens to the population, and alerts name what moved. What --scenario names begins after 2,000 applications and takes 1,000 to reach full strength (chosen on the page, it begins at once); a look at drift needs a block of 500 decisions, so at 200 a second nothing can fire in the first ten seconds, and alerts come within half a minute after that. Whether an approved applicant defaults is told five seconds after the application (sooner where more than 200 come a second; of at most 500 a second; with --exit of nobody): as often as the shipped model expects, until a scenario changes it. Approval ratios of groups are held against 0.7, not four fifths, which this population does not keep. Outside clients can reach Kafka and Redis on the ports it prints. Kafka keeps one hour or 100 MB (with --exit, all of the run), Redis the last 10,000 decisions.

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
	if err := c.Webhook.Check(); err != nil {
		return err
	}
	c.InProcess = c.InProcess || c.Exit
	dir := c.DataDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "creditstream-demo-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system clears what is left
	}
	if !c.Exit {
		debug.SetGCPercent(demoGarbage)
		debug.SetMemoryLimit(demoMemory)
	}
	status := &statusLine{w: p.stderr}
	p = p.loggingTo(status)
	d, err := c.start(p, dir)
	if err != nil {
		return err
	}
	defer d.close()
	if !c.Exit {
		d.announce(status, c.DataDir)
	}
	return d.explained(c.run(p, d, status))
}

// run keeps the demo's components running and shows how it goes.
func (c *demoCmd) run(p *process, d *demo, status *statusLine) error {
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	if c.Exit {
		go func() {
			select {
			case <-d.watch.done:
				stop()
			case <-ctx.Done():
			}
		}()
	}
	shown := sync.WaitGroup{}
	terminal := onTerminal(status.w)
	if terminal || !c.Exit {
		shown.Go(func() { d.show(ctx, status, terminal) })
	}
	reporter, err := newReporter(p, d.kafka, d.reg, d.reports...)
	if err == nil {
		err = reporting(reporter, func() error {
			return lifecycle.Group{Components: d.components, Stopping: d.process.stop, Drain: drainTime, Log: p.log}.Run(ctx)
		})
	}
	stop()
	shown.Wait()
	status.show("")
	if err != nil {
		return err
	}
	if !c.Exit {
		d.farewell(status)
		return nil
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("interrupted before %d applications were answered", c.Decisions)
	}
	result, err := d.judge(p)
	if err != nil {
		return err
	}
	return result.print(p.stdout, c.JSON)
}

// show draws the status, on a terminal in place, elsewhere a line now and then.
func (d *demo) show(ctx context.Context, status *statusLine, terminal bool) {
	every := 10 * time.Second
	if terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	rate := ratemeter{at0: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w, latencies := d.watch.snapshot(0.5, 0.99)
		line := demoStatus(w, rate.at(time.Now(), w.Stream+w.API), latencies[0], latencies[1], d.restarts())
		if terminal {
			status.show(line)
		} else {
			_, _ = fmt.Fprintln(status, line) // a status that cannot be shown is no failure
		}
	}
}

// ratemeter smooths a count into a rate.
type ratemeter struct {
	at0   time.Time // of the last count
	n0    int64
	shown float64
}

func (r *ratemeter) at(now time.Time, n int64) float64 {
	if passed := now.Sub(r.at0).Seconds(); passed > 0 {
		latest := float64(n-r.n0) / passed
		if r.shown == 0 {
			r.shown = latest
		}
		r.shown += 0.3 * (latest - r.shown)
	}
	r.at0, r.n0 = now, n
	return r.shown
}

// loggingTo is the process with its log and standard error above the status. Of
// the log only what is wrong: the status says the rest.
func (p *process) loggingTo(w io.Writer) *process {
	q := *p
	q.stderr = w
	q.log = newLogger(w, max(p.logLevel, slog.LevelWarn), p.logFormat)
	return &q
}
