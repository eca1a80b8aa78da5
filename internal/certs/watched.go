package certs

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/creditstream/creditstream/internal/bounded"
)

// lookInterval is how long files are taken to be as they were: between two looks
// any number of connections may be opened.
const lookInterval = time.Second

// watched is what was made of files, and is made again when their bytes change.
// Files that cannot be read or do not fit together, as in the middle of a
// rotation, change nothing.
type watched[T any] struct {
	paths []string
	parse func(texts [][]byte) (T, error) // its errors name the file
	log   *slog.Logger
	now   func() time.Time

	mu         sync.Mutex // guards what follows
	looked     time.Time
	texts      [][]byte
	value      T
	complained string
}

// watch reads the files for the first time.
func watch[T any](log *slog.Logger, parse func([][]byte) (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, parse: parse, log: log, now: time.Now}
	w.looked = w.now()
	return w, w.take()
}

// take makes the value anew if a file has changed.
func (w *watched[T]) take() error {
	texts := make([][]byte, len(w.paths))
	for i, path := range w.paths {
		var err error
		if texts[i], err = bounded.ReadFile(path, bounded.Text); err != nil {
			return err
		}
	}
	if slices.EqualFunc(texts, w.texts, bytes.Equal) {
		return nil
	}
	value, err := w.parse(texts)
	if err != nil {
		return err
	}
	w.texts, w.value = texts, value
	return nil
}

// current is what the files say, at most a second late.
func (w *watched[T]) current() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.looked) >= lookInterval {
		w.looked = now
		w.look()
	}
	return w.value
}

// look takes up a change and logs what keeps it from that, once.
func (w *watched[T]) look() {
	before, complaint := w.texts, ""
	if err := w.take(); err != nil {
		complaint = err.Error()
	} else if !slices.EqualFunc(before, w.texts, bytes.Equal) {
		w.log.Info("certificates taken up", "files", w.paths)
	}
	if complaint != "" && complaint != w.complained {
		w.log.Error("certificates stay as they were", "error", complaint)
	}
	w.complained = complaint
}
