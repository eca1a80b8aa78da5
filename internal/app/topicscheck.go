package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// topicsCheck looks, once, at the settings of the topics that a process uses: some
// lose models and routes, and nobody notices before a replica is started again.
// It is a lifecycle.Component.
type topicsCheck struct {
	kafka  kafka.Config
	topics []schemas.Topic
	log    *slog.Logger
	looked atomic.Bool
}

// newTopicsCheck checks those topics of the catalogue that are named.
func newTopicsCheck(c kafka.Config, log *slog.Logger, names []string) *topicsCheck {
	check := &topicsCheck{kafka: c, log: log}
	replicas := schemas.NewTopics(c.Prefix).Replicas // of which nothing is lost that is not said again
	for _, t := range schemas.Catalogue(c.Prefix) {
		if slices.Contains(names, t.Name) && t.Name != replicas {
			check.topics = append(check.topics, t)
		}
	}
	return check
}

// CheckControlTopics refuses to write models or routes to topics that lose them.
func CheckControlTopics(ctx context.Context, c kafka.Config) error {
	topics := schemas.NewTopics(c.Prefix)
	check := newTopicsCheck(c, c.Log, []string{topics.Models, topics.Routes})
	err := check.look(ctx)
	var lost *stateLossError
	if errors.As(err, &lost) {
		return err
	}
	return nil // what else is wrong the command says itself
}

// checkInterval is between attempts to look, while no broker answers.
const checkInterval = time.Second

// Name is part of lifecycle.Component.
func (*topicsCheck) Name() string { return "topics" }

// Ready is part of lifecycle.Component.
func (c *topicsCheck) Ready() error {
	if c.looked.Load() {
		return nil
	}
	return errors.New("the settings of the topics have not been looked at yet")
}

// Run is part of lifecycle.Component. Its error is that of settings which lose
// state.
func (c *topicsCheck) Run(ctx context.Context) error {
	for !c.looked.Load() {
		err := c.look(ctx)
		var lost *stateLossError
		if errors.As(err, &lost) {
			return err
		}
		// Another component says what keeps it from the cluster.
		c.log.Debug("cannot look at the settings of the topics", "error", err)
		if err == nil {
			c.looked.Store(true)
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkInterval):
		}
	}
	<-ctx.Done()
	return nil
}

// stateLossError names the settings by which models, routes or what drift is judged by
// are lost.
type stateLossError struct {
	flaws []error
	looks []string // commands that show whether anything is lost already
	flags string   // of commands on this deployment
}

func (e *stateLossError) Error() string {
	text := fmt.Sprintf("%s; put it right with creditstream topics apply --update%s", errors.Join(e.flaws...), e.flags)
	if len(e.looks) > 0 {
		text += ", and look whether anything is lost already: " + strings.Join(e.looks, ", ")
	}
	return text
}

func (e *stateLossError) add(f schemas.Flaw, look string) {
	e.flaws = append(e.flaws, errors.New(f.String()))
	if look != "" && !slices.Contains(e.looks, look+e.flags) {
		e.looks = append(e.looks, look+e.flags)
	}
}

// looksAfter is the command that shows whether a topic has lost anything.
func looksAfter(topics schemas.Topics, topic string) string {
	switch topic {
	case topics.Models, topics.Routes:
		return "creditstream model history"
	case topics.DriftPanes, topics.DriftStatus:
		return "creditstream drift status"
	}
	return ""
}

// look reads the settings, and warns of those that are dangerous.
func (c *topicsCheck) look(ctx context.Context) error {
	client, err := kgo.NewClient(c.kafka.Quiet().Options()...)
	if err != nil {
		return err
	}
	defer client.Close()
	names := make([]string, len(c.topics))
	for i, t := range c.topics {
		names[i] = t.Name
	}
	asked, cancel := context.WithTimeout(ctx, 10*checkInterval)
	defer cancel()
	settings, missing, err := kafka.Settings(asked, kadm.NewClient(client), names...)
	if err != nil {
		return err
	}
	lost := stateLossError{flags: c.kafka.Flags()}
	var unread []string
	for _, t := range c.topics {
		have, ok := settings[t.Name]
		if !ok && !slices.Contains(missing, t.Name) {
			unread = append(unread, t.Name)
		}
		if !ok {
			continue
		}
		for _, f := range t.Flaws(have) {
			if f.Loses {
				lost.add(f, looksAfter(schemas.NewTopics(c.kafka.Prefix), f.Topic))
				continue
			}
			c.log.Warn("a topic's setting is not as the catalogue says", "topic", f.Topic, "setting", f.Setting, "have", f.Have, "want", f.Want, "means", f.Means)
		}
	}
	if len(lost.flaws) > 0 {
		return &lost
	}
	if len(missing) > 0 {
		c.log.Warn("the settings of topics were not checked: they do not exist", "topics", missing, "run", "creditstream topics apply"+c.kafka.Flags())
	}
	if len(unread) > 0 {
		c.log.Warn("the settings of topics were not checked: it takes DESCRIBE_CONFIGS on them", "topics", unread)
	}
	return nil
}
