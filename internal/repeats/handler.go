// Package repeats keeps a log readable while something is away: a warning that says
// the same again and again is written at once, and then ever more seldom.
package repeats

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	// A warning is written again after this long, then after twice as long each time,
	// and at least so often.
	firstInterval = time.Minute
	lastInterval  = 16 * time.Minute
	// What has not been said for this long has ended in between: it is new. Whatever
	// tries again does so more often.
	ended = 30 * time.Second
	// maxKept bounds the memory of warnings that are all different.
	maxKept = 1000
)

// Handler passes records on, but of warnings with an error only those that are not
// the same, in message and error, as one before: what else they say, as when it is
// tried again, may differ. One that was held back is counted by the next (attribute
// repeated).
type Handler struct {
	to   slog.Handler
	seen *seen // of all handlers made of one
}

// seen is what has been said; it is safe for concurrent use.
type seen struct {
	mu  sync.Mutex
	all map[key]*repetition
}

type key struct{ message, err string }

type repetition struct {
	last, written time.Time // when it was said, and when that was written
	interval      time.Duration
	held          int // since it was written
}

// NewHandler writes to another handler.
func NewHandler(to slog.Handler) *Handler {
	return &Handler{to, &seen{all: map[key]*repetition{}}}
}

// Enabled is part of slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

// WithAttrs is part of slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.to.WithAttrs(attrs), h.seen}
}

// WithGroup is part of slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler { return &Handler{h.to.WithGroup(name), h.seen} }

// Handle is part of slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn {
		return h.to.Handle(ctx, r)
	}
	k := key{message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" || a.Key == "err" { // the latter is what libraries call it
			k.err = a.Value.String()
		}
		return k.err == ""
	})
	if k.err == "" {
		return h.to.Handle(ctx, r)
	}
	held, write := h.seen.note(k, r.Time)
	if !write {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", held))
	}
	return h.to.Handle(ctx, r)
}

// note says whether a warning is written now, and how many like it were held back.
func (s *seen) note(k key, at time.Time) (held int, write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[k]
	switch {
	case one == nil || at.Sub(one.last) > ended:
		if len(s.all) >= maxKept {
			maps.DeleteFunc(s.all, func(_ key, old *repetition) bool { return at.Sub(old.last) > ended })
		}
		if len(s.all) >= maxKept {
			return 0, true
		}
		s.all[k] = &repetition{last: at, written: at, interval: firstInterval}
		return 0, true
	case at.Sub(one.written) < one.interval:
		one.last = at
		one.held++
		return 0, false
	}
	held = one.held
	one.last, one.written, one.held = at, at, 0
	one.interval = min(2*one.interval, lastInterval)
	return held, true
}
