package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/replica/reports"
)

type modelListCmd struct {
	Kafka flags.Kafka `embed:""`
	JSON  bool        `help:"Print JSON." name:"json"`
}

// listed is a released version as `model list --json` prints it.
type listed struct {
	Version    string     `json:"version"`
	Digest     string     `json:"digest"`
	Bytes      int        `json:"bytes"`
	CreatedAt  *time.Time `json:"created_at"` // null where the bundle cannot be read
	ReleasedAt time.Time  `json:"released_at"`
	AUC        *float64   `json:"auc"` // on the hold-out
	gated
	Serves []string `json:"serves"`           // champion, canary, shadow: what the newest route says
	Reason string   `json:"reason,omitempty"` // why the bundle cannot be read
	Loaded []string `json:"loaded"`           // by which live replicas; null where that is not known
}

// Run lists the versions, oldest first.
func (c *modelListCmd) Run(p *process) error {
	h, err := readHistory(p, &c.Kafka)
	if err != nil {
		return err
	}
	loaded, err := loadedBy(p, &c.Kafka)
	if err != nil {
		p.log.Warn("which replicas have loaded what is not known", "error", err)
	}
	all := []listed{}
	for _, v := range h.Versions() {
		one := list(v, h.Current())
		if err == nil {
			one.Loaded = append([]string{}, loaded[v.Version]...)
		}
		all = append(all, one)
	}
	if c.JSON {
		return printJSON(p.stdout, all)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tSERVES\tCREATED\tRELEASED\tAUC\tGATES\tBYTES\tDIGEST\tLOADED BY")
	for _, l := range all {
		created, auc, serves := "-", "-", "-"
		if l.CreatedAt != nil {
			created = l.CreatedAt.Format(time.RFC3339)
		}
		if l.AUC != nil {
			auc = fmt.Sprintf("%.4f", *l.AUC)
		}
		if len(l.Serves) > 0 {
			serves = strings.Join(l.Serves, ",")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Version, serves, created, l.ReleasedAt.Format(time.RFC3339), auc, cmp.Or(l.Gates, "-"), l.Bytes, l.Digest,
			cmp.Or(strings.Join(l.Loaded, ","), "-"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printProblems(p.stdout, h, c.Kafka.Topics().Models)
}

// printProblems names the records of the topics that could not be used.
func printProblems(w io.Writer, h *release.History, topics ...string) error {
	for _, problem := range h.Problems() {
		if !slices.Contains(topics, problem.Topic) {
			continue
		}
		if _, err := fmt.Fprintf(w, "passed over: %s\n", problem); err != nil {
			return err
		}
	}
	return nil
}

// loadedBy are the live replicas that serve each version.
func loadedBy(p *process, k *flags.Kafka) (map[string][]string, error) {
	p, cancel := withinModelTime(p)
	defer cancel()
	log, err := reports.OpenLog(p.ctx, k.Config(p.log).For("replicas"), k.Topics())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if err := log.ReadToEnd(p.ctx); err != nil {
		return nil, err
	}
	return log.Board.Loaded(time.Now()), nil
}

func list(v release.Version, current *release.Revision) listed {
	l := listed{Version: v.Version, Digest: v.Digest, Bytes: len(v.Bundle), ReleasedAt: v.Released.UTC(), Serves: []string{}}
	m, _, err := model.ReadManifest(v.Bundle)
	if err != nil {
		l.Reason = err.Error()
	} else {
		l.CreatedAt = &m.CreatedAt
		l.AUC = m.AUC()
		if g, err := m.Gates(); err != nil {
			l.Reason = err.Error()
		} else {
			l.gated = gatedOf(g, v.Ungated)
		}
	}
	if current != nil {
		l.Serves = append(l.Serves, current.Roles(v.Version)...)
	}
	return l
}

type modelHistoryCmd struct {
	Kafka flags.Kafka `embed:""`
	JSON  bool        `help:"Print JSON." name:"json"`
}

// Run lists the revisions, oldest first: the last one is current.
func (c *modelHistoryCmd) Run(p *process) error {
	h, err := readHistory(p, &c.Kafka)
	if err != nil {
		return err
	}
	lines := []routeLine{}
	for _, r := range h.Revisions() {
		lines = append(lines, lineOf(r))
	}
	if c.JSON {
		return printJSON(p.stdout, lines)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tAT\tBY\tCHAMPION\tCANARY\tSHADOW\tPOLICY\tWHY")
	for _, l := range lines {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Revision, l.At, l.By, l.Champion, l.canary(), l.shadow(), l.PolicyVersion, l.Why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	topics := c.Kafka.Topics()
	return printProblems(p.stdout, h, topics.Routes, topics.Models)
}

// readHistory reads models and routes. Records that cannot be used stay there forever:
// they are told of by model history, and otherwise only to who looks for them.
func readHistory(p *process, k *flags.Kafka) (*release.History, error) {
	p, cancel := withinModelTime(p)
	defer cancel()
	h, err := release.ReadAll(p.ctx, k.Config(p.log).For("models"), k.Topics())
	if err != nil {
		return nil, err
	}
	warnOpen(p, h.Open())
	for _, problem := range h.Problems() {
		p.log.Debug("record ignored", "topic", problem.Topic, "offset", problem.Offset, "reason", problem.Reason)
	}
	return h, nil
}
