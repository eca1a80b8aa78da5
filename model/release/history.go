package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Version is a released bundle.
type Version struct {
	Version  string
	Digest   string
	Bundle   []byte
	Released time.Time // when the log took it
	Ungated  string    // why it may serve though it has been through no gate, where somebody said so
}

// Revision is a route record; its number is its offset.
type Revision struct {
	Number int64
	Route  schemas.Route

	flags string // of the deployment that it is of, in a command
}

// Versions are the models that it names, the champion first.
func (r *Revision) Versions() []string { return named(r.Route) }

// Roles are those that a version has in it: champion, canary, shadow.
func (r *Revision) Roles(version string) (roles []string) {
	if r.Route.Champion == version {
		roles = append(roles, "champion")
	}
	if r.Route.Canary != nil && r.Route.Canary.ModelVersion == version {
		roles = append(roles, "canary")
	}
	if r.Route.Shadow != nil && *r.Route.Shadow == version {
		roles = append(roles, "shadow")
	}
	return roles
}

// Problem is a record that is neither a bundle nor a route that could be used.
type Problem struct {
	Topic  string
	Offset int64
	Reason string
}

func (p Problem) String() string { return fmt.Sprintf("%s offset %d: %s", p.Topic, p.Offset, p.Reason) }

// History is everything that models and routes hold. Bundles are kept as they
// are; none has been opened.
type History struct {
	topics   schemas.Topics
	flags    string    // of the deployment, in a command
	versions []Version // in the order they were released
	routes   []Revision
	problems []Problem
	open     []kafka.Open // what lies behind them, and was not read
}

// ReadAll reads models and routes once, to the ends they have now. It waits for
// transactions that are open there; what lies behind one that hangs is not read, and
// Open says so.
func ReadAll(ctx context.Context, c kafka.Config, topics schemas.Topics) (*History, error) {
	quiet := c.Quiet()
	client, err := kgo.NewClient(quiet.Options()...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	adm, names := kadm.NewClient(client), []string{topics.Models, topics.Routes}
	err = answered(ctx, c.Brokers, func(ctx context.Context) error {
		return kafka.RequireAccess(ctx, adm, kafka.Reads(names...))
	})
	if err != nil {
		return nil, c.Explain(err)
	}
	ends, open, err := quiet.Settled(ctx, adm, kafka.OpenPatience, names...)
	if err != nil {
		return nil, c.Explain(err)
	}
	if err := requireOnePartition(topics.Routes, len(ends[topics.Routes])); err != nil {
		return nil, err
	}
	h := &History{topics: topics, flags: c.Flags(), open: open}
	err = quiet.ReadCommitted(ctx, ends.Spans(), kafka.Sink{Each: func(rec *kgo.Record) error {
		h.add(rec)
		return nil
	}, Unreadable: foreignOnly(h.addForeign)})
	if err != nil {
		return nil, fmt.Errorf("reading models and routes: %w", err)
	}
	return h, nil
}

// Open is what was not read because it lies behind transactions that hang.
func (h *History) Open() []kafka.Open { return slices.Clone(h.open) }

// whole is nil where all of a topic was read.
func (h *History) whole(topic string) error {
	for _, o := range h.open {
		if o.Topic == topic {
			return fmt.Errorf("%s: what is there cannot be read until it ends (docs/runbook.md, An open transaction)", o)
		}
	}
	return nil
}

// foreignOnly is a Sink's Unreadable that leaves out, and hands to note, batches that unpack
// to more than any that creditstream writes. All others are the error.
func foreignOnly(note func(*kafka.UnreadableError)) func(*kafka.UnreadableError) error {
	return func(u *kafka.UnreadableError) error {
		if !errors.Is(u, kgo.ErrMaxDecompress) {
			return u
		}
		note(u)
		return nil
	}
}

// addForeign notes a batch that no bundle and no route is in.
func (h *History) addForeign(u *kafka.UnreadableError) {
	h.problems = append(h.problems, Problem{u.Topic, u.From, kafka.Reason(u.Err).Error()})
}

// add takes a record of either topic in. changed says whether it is one that
// counts; otherwise the last of the problems says why it does not.
func (h *History) add(rec *kgo.Record) (changed bool) {
	problem := ""
	switch {
	case rec.Topic == h.topics.Routes:
		changed, problem = h.addRoute(rec)
	case len(rec.Value) == 0:
		// A tombstone: the version may no longer be routed to.
		n := len(h.versions)
		h.versions = slices.DeleteFunc(h.versions, func(v Version) bool { return v.Version == string(rec.Key) })
		changed = len(h.versions) < n
	default:
		changed, problem = h.addBundle(rec)
	}
	if problem != "" {
		h.problems = append(h.problems, Problem{rec.Topic, rec.Offset, problem})
	}
	return changed
}

func (h *History) addRoute(rec *kgo.Record) (changed bool, problem string) {
	if n := len(h.routes); n > 0 && rec.Offset <= h.routes[n-1].Number {
		return false, "" // read again
	}
	var route schemas.Route
	if err := schemas.DecodeRoute(rec.Value, &route); err != nil {
		return false, err.Error()
	}
	h.routes = append(h.routes, Revision{rec.Offset, route, h.flags})
	return true, ""
}

func (h *History) addBundle(rec *kgo.Record) (changed bool, problem string) {
	version := string(rec.Key)
	if err := model.CheckVersion(version); err != nil {
		return false, err.Error()
	}
	digest := model.Digest(rec.Value)
	if have, ok := h.Version(version); ok {
		if have.Digest != digest {
			return false, fmt.Sprintf("model %s: other bytes (%s) under a version that is there already (%s): refused", version, digest, have.Digest)
		}
		return false, ""
	}
	one := Version{Version: version, Digest: digest, Bundle: bytes.Clone(rec.Value), Released: rec.Timestamp}
	for _, header := range rec.Headers {
		if header.Key == schemas.HeaderUngated {
			one.Ungated = string(header.Value)
		}
	}
	h.versions = append(h.versions, one)
	return true, ""
}

// Version looks a version up.
func (h *History) Version(version string) (Version, bool) {
	for _, v := range h.versions {
		if v.Version == version {
			return v, true
		}
	}
	return Version{}, false
}

// Bundle is a version's bytes, which must not be changed.
func (h *History) Bundle(version string) ([]byte, bool) {
	v, ok := h.Version(version)
	return v.Bundle, ok
}

// Versions are the released bundles, oldest first.
func (h *History) Versions() []Version { return slices.Clone(h.versions) }

// Route is the route of a revision.
func (h *History) Route(revision int64) (schemas.Route, bool) {
	for _, r := range h.routes {
		if r.Number == revision {
			return r.Route, true
		}
	}
	return schemas.Route{}, false
}

// Revisions are the routes, oldest first.
func (h *History) Revisions() []Revision { return slices.Clone(h.routes) }

// Current is the newest route, nil where there is none.
func (h *History) Current() *Revision {
	if len(h.routes) == 0 {
		return nil
	}
	r := h.routes[len(h.routes)-1]
	return &r
}

// InForceAt is the revision that was in force at a time, the first where that is later,
// nil where there is none.
func (h *History) InForceAt(at time.Time) (found *Revision) {
	for i, r := range h.routes {
		if i == 0 || !r.Route.At.Time().After(at) {
			found = &r
		}
	}
	return found
}

// Problems are the records that could not be used.
func (h *History) Problems() []Problem { return slices.Clone(h.problems) }
