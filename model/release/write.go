package release

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// maxRecord is the models topic's max.message.bytes.
const maxRecord = 8 << 20

// routeTimeout is how long a writer that was killed holds back the routes' readers.
const routeTimeout = 10 * time.Second

// Released is what became of a release.
type Released struct {
	Model   *model.Model
	Existed bool // the same bytes stood there already; nothing was written
	Gates   model.Gates
	Ungated string    // why what has been through no gate may serve, as the record says
	Current *Revision // the route in force, nil where there is none

	flags string // of the deployment, in a command
}

// Release writes a bundle to the models topic under its version, after opening
// it on the engine and asking its gates. ungated is why one that has been through
// none may serve, "" otherwise; the record keeps it. Other bytes under a version that
// exists are refused; the same bytes are there already.
func Release(ctx context.Context, c kafka.Config, topics schemas.Topics, bundle []byte, engine, ungated string) (*Released, error) {
	m, err := model.Parse(bundle, engine)
	if err != nil {
		return nil, err
	}
	gates, err := admit(m, ungated)
	if err != nil {
		return nil, err
	}
	out := &Released{Model: m, Gates: gates, Ungated: ungated}
	h, err := ReadAll(ctx, c, topics)
	if err != nil {
		return nil, err
	}
	// Other bytes may be there under this version.
	if err := h.whole(topics.Models); err != nil {
		return nil, fmt.Errorf("model %s is not released: %w", m.Version, err)
	}
	out.Current, out.flags = h.Current(), c.Flags()
	if have, ok := h.Version(m.Version); ok {
		out.Existed, out.Ungated = true, have.Ungated
		return out, sameBytes(have, m)
	}
	// Idempotent and outside a transaction: what is compacted here must end in a
	// record, or a reader would wait for an end that is no longer there.
	client, err := kgo.NewClient(append(c.Options(), kgo.ProducerBatchMaxBytes(maxRecord))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	write := func(value []byte, ungated string) error {
		record := &kgo.Record{Topic: topics.Models, Key: []byte(m.Version), Value: value}
		if ungated != "" {
			record.Headers = []kgo.RecordHeader{{Key: schemas.HeaderUngated, Value: []byte(ungated)}}
		}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("writing model %s to %s: %w", m.Version, topics.Models, err)
		}
		return nil
	}
	if err := write(bundle, ungated); err != nil {
		return nil, err
	}
	// Another release of this version may have come between: the first one counts.
	if h, err = ReadAll(ctx, c, topics); err != nil {
		return nil, fmt.Errorf("model %s is written, but could not be read back: %w", m.Version, err)
	}
	have, ok := h.Version(m.Version)
	if !ok {
		if err := h.whole(topics.Models); err != nil {
			return nil, fmt.Errorf("model %s is written, but replicas cannot read it yet: %w", m.Version, err)
		}
		return nil, fmt.Errorf("model %s is written, but %s does not hold it", m.Version, topics.Models)
	}
	if err := sameBytes(have, m); err != nil {
		// Compaction keeps the last record: let that be the first one's bytes.
		if repair := write(have.Bundle, have.Ungated); repair != nil {
			return nil, fmt.Errorf("%w; release the first one's bytes again, compaction would lose them: %w", err, repair)
		}
		return nil, err
	}
	return out, nil
}

func sameBytes(have Version, m *model.Model) error {
	if have.Digest == m.Digest {
		return nil
	}
	return fmt.Errorf("model %s is released already with other bytes: %s, this file has %s; a version's bytes never change, give it another version", m.Version, have.Digest, m.Digest)
}

// RouteRequest is what is to change from now on, who changes it, and why.
type RouteRequest struct {
	Change

	Expect *int64 // revision that is current; nil only where there is none
	By     string
	At     schemas.Timestamp
	Why    string
	Engine string // that the replicas run; bundles are opened on it

	// Before is called with what changes, before it is written. nil disables it.
	Before func([]Difference) error
}

// Written is a route on the topic.
type Written struct {
	Revision
	Existed bool // it was in force already; nothing was written
	Changes []Difference
}

// Route writes what the change makes of the route in force. It is refused unless
// Expect is the current revision and every bundle opens. Of two at once, one is
// fenced. What changes nothing is there already, and so is what is sent again after
// it was written: the route in force is what it asks for, and Expect the one before.
func Route(ctx context.Context, c kafka.Config, topics schemas.Topics, r RouteRequest) (*Written, error) {
	w := routeWriter{kafka: c, topics: topics, engine: r.Engine, expect: r.Expect, before: r.Before}
	return w.write(ctx, func(h *History, o *opener) (schemas.Route, error) {
		var now *schemas.Route
		if current := h.Current(); current != nil {
			now = &current.Route
		}
		next, err := r.apply(now)
		if err != nil {
			return next, err
		}
		next.By, next.At, next.Why = r.By, r.At, r.Why
		if _, err := o.set(Revision{Number: math.MaxInt64, Route: next}); err != nil {
			return next, fmt.Errorf("%w%s", err, r.kept(now, next, err))
		}
		return next, nil
	})
}

// RollbackRequest says who goes back, and why.
type RollbackRequest struct {
	Expect *int64
	By     string
	At     schemas.Timestamp
	Why    string
	Engine string

	// Before is called with what changes, before it is written. nil disables it.
	Before func(*RolledBack, []Difference) error
}

// RolledBack is what a rollback did.
type RolledBack struct {
	Written *Written
	From    *Revision    // which served until then
	To      *Revision    // whose champion and policy serve again
	Passed  []PassedOver // later revisions with another champion that cannot serve
}

// PassedOver is a revision that could not be gone back to.
type PassedOver struct {
	Revision int64  `json:"revision"`
	Champion string `json:"champion"`
	Reason   string `json:"reason"`
}

// Rollback writes a route to the champion and the policy of the last revision with
// another champion that can serve, without canary or shadow. Sent again after it was
// written it is there already, as Route is.
func Rollback(ctx context.Context, c kafka.Config, topics schemas.Topics, r RollbackRequest) (*RolledBack, error) {
	var out RolledBack
	w := routeWriter{kafka: c, topics: topics, engine: r.Engine, expect: r.Expect}
	if r.Before != nil {
		w.before = func(changes []Difference) error { return r.Before(&out, changes) }
	}
	written, err := w.write(ctx, func(h *History, o *opener) (schemas.Route, error) {
		out = RolledBack{}
		if out.From = h.Current(); out.From == nil {
			return schemas.Route{}, fmt.Errorf("%s holds no route to roll back", topics.Routes)
		}
		for i := len(h.routes) - 1; i >= 0; i-- {
			old := h.routes[i]
			if old.Route.Champion == out.From.Route.Champion {
				continue
			}
			route := schemas.Route{Champion: old.Route.Champion, Policy: old.Route.Policy, By: r.By, At: r.At, Why: r.Why}
			if _, err := o.set(Revision{Number: math.MaxInt64, Route: route}); err != nil {
				out.pass(old, err)
				continue
			}
			out.To = &old
			return route, nil
		}
		return schemas.Route{}, out.nowhere()
	})
	if err != nil {
		return nil, err
	}
	out.Written = written
	return &out, nil
}

// pass notes a revision that cannot serve, once for each reason.
func (b *RolledBack) pass(r Revision, err error) {
	one := PassedOver{r.Number, r.Route.Champion, err.Error()}
	for _, p := range b.Passed {
		if p.Champion == one.Champion && p.Reason == one.Reason {
			return
		}
	}
	b.Passed = append(b.Passed, one)
}

// nowhere says why there is nothing to go back to, and what can be done.
func (b *RolledBack) nowhere() error {
	from := b.From.Route
	var said strings.Builder
	fmt.Fprintf(&said, "no revision has another champion than %s", word(from.Champion))
	if len(b.Passed) > 0 {
		said.WriteString(" that can serve")
	}
	for _, p := range b.Passed {
		fmt.Fprintf(&said, "; revision %d: %s", p.Revision, p.Reason)
	}
	if from.Canary != nil || from.Shadow != nil {
		fmt.Fprintf(&said, "; to drop %s and keep the champion: %s", b.From.Candidates(), b.From.RouteCommand(Change{NoCanary: from.Canary != nil, NoShadow: from.Shadow != nil}, "rolled back"))
	}
	fmt.Fprintf(&said, "; to serve a version of your choice: creditstream model route --champion VERSION --expect %d --why WHY%s", b.From.Number, b.From.flags)
	return errors.New(said.String())
}

// Candidates are the canary and the shadow in words, "" where there are none.
func (r *Revision) Candidates() string {
	var out []string
	if c := r.Route.Canary; c != nil {
		out = append(out, "canary "+c.ModelVersion)
	}
	if s := r.Route.Shadow; s != nil {
		out = append(out, "shadow "+*s)
	}
	return strings.Join(out, " and ")
}

var errOvertaken = errors.New("another process has taken the transactional id")

// ErrNoExpect is that there is a route, and whoever writes the next does not say which.
var ErrNoExpect = errors.New("--expect is not set")

// routeWriter writes one route.
type routeWriter struct {
	kafka  kafka.Config
	topics schemas.Topics
	engine string
	expect *int64
	before func([]Difference) error // nil disables it
}

// decision makes a route, whose bundles it has opened, of the whole history before it.
type decision func(*History, *opener) (schemas.Route, error)

// write decides on a route with the whole history before it and writes it, and
// nobody else has written in between: taking the transactional id fences whoever
// held it, and whoever takes it later fences this one.
func (w *routeWriter) write(ctx context.Context, decide decision) (*Written, error) {
	c, id := w.kafka, w.kafka.Prefix+"-router"
	client, err := kgo.NewClient(append(c.Options(), kgo.TransactionalID(id), kgo.TransactionTimeout(routeTimeout))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	err = answered(ctx, c.Brokers, func(ctx context.Context) error {
		return kafka.RequireAccess(ctx, kadm.NewClient(client), kafka.Reads(w.topics.Models), kafka.Writes(w.topics.Routes))
	})
	if err != nil {
		return nil, c.Explain(err)
	}
	producer, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking transactional id %s: %w", id, c.Explain(err))
	}
	h, err := ReadAll(ctx, c, w.topics)
	if err != nil {
		return nil, err
	}
	// The current revision may be one that cannot be read, and so could nobody read this.
	if err := h.whole(w.topics.Routes); err != nil {
		return nil, fmt.Errorf("the route is not written: %w", err)
	}
	o := newOpener(w.engine, h.Bundle)
	if err := h.expect(w.expect); err != nil {
		if again := w.writtenAlready(h, o, decide); again != nil {
			return again, nil
		}
		return nil, err
	}
	route, err := decide(h, o)
	if err != nil {
		if hidden := h.whole(w.topics.Models); hidden != nil {
			err = fmt.Errorf("%w; %w", err, hidden)
		}
		return nil, err
	}
	out := &Written{Changes: h.changes(route)}
	if current := h.Current(); current != nil && len(out.Changes) == 0 {
		return &Written{Revision: *current, Existed: true, Changes: out.Changes}, nil
	}
	if w.before != nil {
		if err := w.before(out.Changes); err != nil {
			return nil, err
		}
	}
	if err := client.BeginTransaction(); err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: w.topics.Routes, Partition: 0, Value: schemas.AppendRoute(nil, &route)}
	failed := client.ProduceSync(ctx, record).FirstErr()
	if p, e, err := client.ProducerID(ctx); failed == nil && (err != nil || p != producer || e != epoch) {
		failed = errOvertaken
	}
	if err := client.EndTransaction(ctx, kgo.TransactionEndTry(failed == nil)); failed == nil && err != nil {
		failed = err
	}
	switch {
	case errors.Is(failed, errOvertaken), errors.Is(failed, kerr.ProducerFenced), errors.Is(failed, kerr.InvalidProducerEpoch):
		return nil, fmt.Errorf("the route was not written: another model route or rollback came in between; look at creditstream model history: %w", failed)
	case failed != nil:
		return nil, fmt.Errorf("it is not known whether the route was written; look at creditstream model history: %w", failed)
	}
	out.Revision = Revision{Number: record.Offset, Route: route}
	return out, nil
}

// writtenAlready is the route in force where it is what is asked for and what was
// expected is the one before it: the command is sent again. It is nil otherwise.
func (w *routeWriter) writtenAlready(h *History, o *opener, decide decision) *Written {
	current := h.Current()
	if current == nil {
		return nil
	}
	before := h.beforeCurrent()
	if before.expect(w.expect) != nil {
		return nil
	}
	wanted, err := decide(before, o)
	if err != nil || len(Differences(&current.Route, wanted)) > 0 {
		return nil
	}
	return &Written{Revision: *current, Existed: true, Changes: before.changes(wanted)}
}

// changes are what a route changes of the current one.
func (h *History) changes(route schemas.Route) []Difference {
	if current := h.Current(); current != nil {
		return Differences(&current.Route, route)
	}
	return Differences(nil, route)
}

// beforeCurrent is the history without the newest route.
func (h *History) beforeCurrent() *History {
	before := *h
	before.routes = h.routes[:len(h.routes)-1]
	return &before
}

// expect holds the revision that a writer has seen to the current one.
func (h *History) expect(seen *int64) error {
	current := h.Current()
	switch {
	case current == nil && seen == nil, current != nil && seen != nil && *seen == current.Number:
		return nil
	case current == nil:
		return fmt.Errorf("--expect %d: there is no route yet; leave it out", *seen)
	}
	if seen == nil {
		return fmt.Errorf("%w: the current revision is %d (%s)", ErrNoExpect, current.Number, describe(current.Route))
	}
	return fmt.Errorf("--expect %d: the current revision is %d (%s)", *seen, current.Number, describe(current.Route))
}

// describe is a route in a few words.
func describe(r schemas.Route) string {
	var b strings.Builder
	fmt.Fprintf(&b, "champion %s", r.Champion)
	if r.Canary != nil {
		fmt.Fprintf(&b, ", canary %s", CanaryText(r.Canary))
	}
	if r.Shadow != nil {
		fmt.Fprintf(&b, ", shadow %s", *r.Shadow)
	}
	fmt.Fprintf(&b, ", by %s at %s", r.By, r.At)
	return b.String()
}
