package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/replica/reports"
	"github.com/creditstream/creditstream/schemas"
)

type replicasCmd struct {
	Kafka  flags.Kafka `embed:""`
	Watch  bool        `help:"Show it again every second until stopped." xor:"what"`
	Forget []string    `help:"Remove a replica that is gone from the list, by its name there; several with commas or by repeating the flag." xor:"what" placeholder:"COMPONENT/INSTANCE"`
	JSON   bool        `help:"Print JSON; with --watch a line a second." name:"json"`
}

// Help is the second half of `replicas --help`.
func (replicasCmd) Help() string {
	return `Every running component reports once a second what it is doing. READY says whether it can do its work; gone means no report for ten seconds and no clean stop. Rates and latencies are those of the last ten seconds: a scorer's from applied_at to the commit, an API's of requests that decide, a view's from decided_at until the prediction can be read.

Examples:
  creditstream replicas
  creditstream replicas --watch
  creditstream replicas --forget score/old-host
  creditstream replicas --json | jq '.replicas[] | select(.ready | not)'`
}

// replicasDocument is what `replicas --json` prints.
type replicasDocument struct {
	Replicas []replica.Summary `json:"replicas"`
}

// watchInterval is how often --watch shows them again.
const watchInterval = time.Second

// Run reads the topic to its end, and on with --watch.
func (c *replicasCmd) Run(p *process) error {
	log, err := reports.OpenLog(p.ctx, c.Kafka.Config(p.log).For("replicas"), c.Kafka.Topics())
	if err != nil {
		return err
	}
	defer log.Close()
	if err := log.ReadToEnd(p.ctx); err != nil {
		return err
	}
	if log.Ignored > 0 {
		p.log.Warn("records ignored", "records", log.Ignored, "last", log.Problem)
	}
	warnHanging(p, c.Kafka.Config(p.log).For("replicas"), c.Kafka.Topics().Replicas)
	if len(c.Forget) > 0 {
		return c.forget(p, log.Board.States(time.Now()))
	}
	inPlace := c.Watch && !c.JSON && onTerminal(p.stdout)
	for {
		if err := c.show(p, log.Board.Summarise(time.Now()), inPlace); err != nil || !c.Watch {
			return err
		}
		for next := time.Now().Add(watchInterval); time.Now().Before(next); {
			if err := log.Follow(p.ctx, time.Until(next)); err != nil {
				if p.ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// forget takes those that are gone off the topic.
func (c *replicasCmd) forget(p *process, states []replica.State) error {
	now := time.Now()
	for _, name := range c.Forget {
		var names []string
		for i := range states {
			if s := &states[i]; s.Name() == name && s.Live(now) {
				return fmt.Errorf("%s reported %s ago: it is running; stop it first", name, now.Sub(s.Seen).Round(time.Millisecond))
			}
			names = append(names, states[i].Name())
		}
		if !slices.Contains(names, name) {
			if near := flags.Nearest(name, names); near != "" {
				return fmt.Errorf("no replica %s is listed; did you mean %s?", name, near)
			}
			return fmt.Errorf("no replica %s is listed; creditstream replicas shows those that are", name)
		}
	}
	if err := reports.Forget(p.ctx, c.Kafka.Config(p.log).For("replicas"), c.Kafka.Topics(), c.Forget...); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "forgot %s\n", strings.Join(c.Forget, ", "))
	return nil
}

// show prints them once.
func (c *replicasCmd) show(p *process, all []replica.Summary, inPlace bool) error {
	if c.JSON {
		return printJSON(p.stdout, replicasDocument{all})
	}
	var text strings.Builder
	if inPlace {
		text.WriteString("\x1b[H\x1b[J") // from the top of an empty screen
	}
	if err := tabulate(&text, all); err != nil {
		return err
	}
	if c.Watch && !inPlace {
		text.WriteByte('\n')
	}
	_, err := io.WriteString(p.stdout, text.String())
	return err
}

// tabulate writes a line for each, and below all of them why one is not as it should
// be.
func tabulate(to io.Writer, all []replica.Summary) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "REPLICA\tREADY\tCHAMPION\tCANARY\tSHADOW\tREFUSED\tRATE/S\tP50 MS\tP99 MS\tLAG\tAGE")
	var notes strings.Builder
	for _, r := range all {
		name := schemas.ReplicaKey(r.Component, r.Instance)
		champion, canary, shadow, refused := "-", "-", "-", "-"
		if m := r.Models; m != nil {
			if m.Champion != "" {
				champion = fmt.Sprintf("%s@%d", m.Champion, m.RouteRevision)
			}
			canary, shadow = cmp.Or(m.Canary, "-"), cmp.Or(m.Shadow, "-")
			var versions []string
			for _, one := range m.Refused {
				versions = append(versions, one.ModelVersion)
				fmt.Fprintf(&notes, "%s refuses model %s: %s\n", name, one.ModelVersion, one.Reason)
			}
			refused = cmp.Or(strings.Join(versions, ","), "-")
		}
		ready, is := "yes", "ready"
		switch {
		case !r.Live:
			ready, is = "gone", "gone"
		case !r.Ready:
			ready, is = "no", "not ready"
		}
		if r.Reason != "" {
			fmt.Fprintf(&notes, "%s is %s: %s\n", name, is, r.Reason)
		}
		if r.Live && r.Pending != "" {
			fmt.Fprintf(&notes, "%s waits: %s\n", name, r.Pending)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.4g\t%s\t%s\t%s\t%s\n", name, ready, champion, canary, shadow, refused,
			r.PerSecond, shownMillis(r.P50), shownMillis(r.P99), shownLag(r.Lag), time.Duration(r.AgeSeconds*float64(time.Second)).Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(to, notes.String())
	return err
}

func shownMillis(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *ms)
}

func shownLag(lag *int64) string {
	if lag == nil {
		return "-"
	}
	return strconv.FormatInt(*lag, 10)
}
