//go:build chaos

package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keyed asks the API under idempotency keys: each twice at once, and again later,
// as a client does that has heard nothing.
type keyed struct {
	url    string
	prefix string // of the keys

	mu   sync.Mutex
	keys []*keyedRequest
}

// keyedRequest is one request and all that was answered to it.
type keyedRequest struct {
	key  string
	body string

	mu       sync.Mutex
	from, to time.Time // guarded by mu: first sent, last answered
	asked    int       // guarded by mu
	fresh    [][]byte  // guarded by mu: answers that are not said to be another's again
	again    [][]byte  // guarded by mu: those that are
	unknown  int       // guarded by mu: the decision may or may not be on the topic
}

func newKeyed(listen, prefix string) *keyed {
	return &keyed{url: "http://" + listen + "/predict", prefix: prefix + "-key-"}
}

// ask begins a key every so often until ctx ends, and returns when each has been
// asked as often as it is meant to be.
func (k *keyed) ask(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// The id is the API's to make: from the key and the body.
		r := &keyedRequest{key: fmt.Sprint(k.prefix, i), body: question("", i)}
		k.mu.Lock()
		k.keys = append(k.keys, r)
		k.mu.Unlock()
		for _, pauses := range [][]time.Duration{{0, 2 * time.Second}, {0, 9 * time.Second}} {
			asking.Go(func() {
				for _, p := range pauses {
					select {
					case <-ctx.Done():
						return
					case <-time.After(p):
					}
					r.ask(k.url)
				}
			})
		}
	}
}

// ask asks once, and says whether it was answered.
func (r *keyedRequest) ask(url string) bool {
	sent := time.Now()
	answer := post(url, r.key, r.body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = time.Now()
	if r.asked == 0 || sent.Before(r.from) {
		r.from = sent
	}
	r.asked++
	switch {
	case answer.status == http.StatusOK && answer.replayed:
		r.again = append(r.again, answer.body)
	case answer.status == http.StatusOK:
		r.fresh = append(r.fresh, answer.body)
	case answer.status == 0 || bytes.Contains(answer.body, []byte(`"recorded"`)):
		r.unknown++
	}
	return answer.status == http.StatusOK
}

// settle asks every key once more, until it is answered: when everything is
// mended, every claim is kept, free or lapses.
func (k *keyed) settle(t *testing.T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	require.NotEmpty(t, k.keys)
	left := slices.Clone(k.keys)
	until(t, time.Minute, "every key is answered", func() bool {
		left = slices.DeleteFunc(left, func(r *keyedRequest) bool { return r.ask(k.url) })
		return len(left) == 0
	})
}

// judge holds the answers to each other and to the topic, whose predictions are
// given by id, and returns the ids. Redis was away, or lost what it held, in the
// outages: each may cost a key one decision more, never an id.
func (k *keyed) judge(t *testing.T, topic map[string][][]byte, outages []held) (ids []string, replays, twice int) {
	for _, r := range k.keys {
		answers := append(slices.Clone(r.fresh), r.again...)
		require.NotEmpty(t, answers, r.key)
		id := idOf(t, answers[0])
		ids = append(ids, id)
		records := topic[id]
		for _, a := range answers {
			require.Equal(t, id, idOf(t, a), "%s has one id", r.key)
			stands := slices.ContainsFunc(records, func(p []byte) bool { return holds(p, recorded(a)) })
			require.True(t, stands, "%s was answered %s, the topic has %s", r.key, a, records)
		}
		lost := 0
		for _, o := range outages {
			if o.from.Before(r.to) && r.from.Before(o.to) {
				lost++
			}
		}
		require.LessOrEqual(t, len(r.fresh), 1+lost, "%s was decided anew, Redis was away %d times in the meantime", r.key, lost)
		require.LessOrEqual(t, len(records), len(r.fresh)+r.unknown+lost, "%s on the topic", r.key)
		if lost == 0 {
			for _, a := range answers {
				require.Equal(t, string(answers[0]), string(a), "%s has one answer", r.key)
			}
		}
		replays += len(r.again)
		if len(r.fresh) > 1 {
			twice++
		}
	}
	return ids, replays, twice
}

func idOf(t *testing.T, answer []byte) string {
	var a struct {
		ID string `json:"application_id"`
	}
	require.NoError(t, json.Unmarshal(answer, &a))
	require.NotEmpty(t, a.ID)
	return a.ID
}
