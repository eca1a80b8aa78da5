package apptest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// asker asks the API for decisions one after another, each under an id of its
// own, and keeps the answers.
type asker struct {
	url    string
	prefix string // of the ids

	mu       sync.Mutex
	requests int               // guarded by mu
	answers  map[string][]byte // guarded by mu
}

func newAsker(listen, prefix string) *asker {
	return &asker{url: "http://" + listen + "/predict", prefix: prefix + "-api-", answers: map[string][]byte{}}
}

// ask asks until ctx ends, whatever comes back.
func (a *asker) ask(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		id := fmt.Sprint(a.prefix, i)
		answer, ok := predict(a.url, id, i)
		a.mu.Lock()
		a.requests++
		if ok {
			a.answers[id] = answer
		}
		a.mu.Unlock()
	}
}

func (a *asker) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.answers)
}

func (a *asker) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

func (a *asker) acknowledged() map[string][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.answers)
}
