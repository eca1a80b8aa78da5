package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// begin sends a request whose body does not come.
func begin(t *testing.T, p *pipes, key string) net.Conn {
	conn := p.dial()
	_, err := io.WriteString(conn, strings.Replace(predictHead, "Host", "X-API-Key: "+key+"\r\nHost", 1)+"1000\r\n\r\n{")
	require.NoError(t, err)
	synctest.Wait()
	return conn
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// predicts is a whole request: its status, and the problem's name.
func predicts(t *testing.T, p *pipes, key string) string {
	conn := p.dial()
	body := request(example)
	go func() {
		_, _ = io.WriteString(conn, strings.Replace(predictHead, "Host", "X-API-Key: "+key+"\r\nConnection: close\r\nHost", 1)+itoa(len(body))+"\r\n\r\n"+body)
	}()
	return answeredOn(t, conn)
}

func answeredOn(t *testing.T, conn net.Conn) string {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	text := readAll(t, resp.Body)
	require.NoError(t, resp.Body.Close())
	if _, name, ok := strings.Cut(text, problemType); ok {
		name, _, _ = strings.Cut(name, `"`)
		return itoa(resp.StatusCode) + " " + name
	}
	return itoa(resp.StatusCode)
}

func withTwoKeys(t *testing.T, inFlight, perCaller int) func(*Config) {
	keys := twoKeys(t)
	return func(c *Config) { c.Keys, c.Limits.InFlight, c.Limits.PerCaller = keys, inFlight, perCaller }
}

func TestSlowBodies_TakeNoPlaceAmongRequestsWorkedOn(t *testing.T) {
	t.Parallel()
	keys := withTwoKeys(t, 2, 0)
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t, keys, func(c *Config) { c.Limits.PerCaller = 10 })
		var slow []net.Conn
		for range 9 {
			slow = append(slow, begin(t, p, shopKey))
		}
		require.Equal(t, "200", predicts(t, p, shopKey))
		require.Equal(t, "200", predicts(t, p, bankKey))
		closeAll(slow)
		stop()
		require.NoError(t, <-stopped)
	})
}

func TestSlowBodies_MakeRoomForTheirCallersNextRequest(t *testing.T) {
	t.Parallel()
	keys := withTwoKeys(t, 8, 0)
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t, keys)
		var slow []net.Conn
		for range 4 { // half of the places are one caller's
			slow = append(slow, begin(t, p, shopKey))
		}
		require.Equal(t, "429 too-many-open", predicts(t, p, shopKey), "they may be about to come in")
		require.Equal(t, "200", predicts(t, p, bankKey), "another caller")
		time.Sleep(slowBody) // of the bubble
		require.Equal(t, "200", predicts(t, p, shopKey))
		require.Equal(t, "408 slow", answeredOn(t, slow[0]), "the oldest gave way")
		_ = slow[1].SetReadDeadline(time.Now().Add(time.Second))
		_, err := slow[1].Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "and no other")
		closeAll(slow)
		stop()
		require.NoError(t, <-stopped)
	})
}

func TestSlowBodies_TakeNoMoreMemoryThanThereIs(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := newCallers(100, 10*minBytes)
	cut := 0
	visits := func(account string, n int) (all []*visit) {
		for range n {
			v := &visit{account: account, began: now, bytes: 1, cut: func() { cut++ }}
			require.Nil(t, c.enter(v))
			all = append(all, v)
		}
		return all
	}
	visits("a", 5)
	p := c.enter(&visit{account: "a", began: now, bytes: 1})
	require.Equal(t, http.StatusTooManyRequests, p.Status, "half of it is one caller's")
	b := visits("b", 5)
	p = c.enter(&visit{account: "c", began: now, bytes: 1})
	require.Equal(t, http.StatusServiceUnavailable, p.Status)
	now = now.Add(slowBody)
	visits("c", 1)
	require.Equal(t, 1, cut, "the oldest of all gave way")
	require.Equal(t, 4, c.accounts["a"].open)
	c.received(b[0])
	c.leave(b[0])
	c.leave(b[0])
	require.Equal(t, 4, c.accounts["b"].open)
	large := &visit{account: "d", began: now, bytes: 9 * minBytes, cut: func() {}}
	require.Nil(t, c.enter(large), "a single large body is taken")
	c.leave(large)
	require.NotContains(t, c.accounts, "d")
}

// Slow bodies do not keep a server from stopping.
func TestSlowBodies_AreCutWhenTheServerStops(t *testing.T) {
	t.Parallel()
	keys := withTwoKeys(t, 8, 0)
	synctest.Test(t, func(t *testing.T) {
		_, p, stop, stopped := running(t, keys)
		slow := begin(t, p, shopKey)
		began := time.Now()
		stop()
		require.Equal(t, "408 slow", answeredOn(t, slow))
		require.NoError(t, slow.Close())
		require.NoError(t, <-stopped)
		require.Less(t, time.Since(began), 2*slowBody) // of the bubble
	})
}

// What is worked on is not slow: it gives way to nobody.
func TestCallers_WhatIsWorkedOnStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.InFlight, c.Limits.PerCaller = 10, 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	w.log.enter = func(context.Context) error { close(entered); <-release; return nil }
	done := make(chan int)
	go func() { done <- w.post("/predict", request(example)).Code }()
	<-entered
	w.now = w.now.Add(time.Minute)
	w.problem(w.post("/predict", request(example)), http.StatusTooManyRequests, "too-many-open")
	w.problem(w.get("/model"), http.StatusTooManyRequests, "too-many-open")
	close(release)
	require.Equal(t, http.StatusOK, <-done)
	require.Equal(t, http.StatusOK, w.get("/model").Code)
}

func TestStreams_OneCallerTakesNotAll(t *testing.T) {
	t.Parallel()
	keys := twoKeys(t)
	w := newWorld(t, func(c *Config) { c.Keys = keys; c.Feed = newFeed() })
	ctx, stop := context.WithCancel(t.Context())
	var opened []chan int
	open := func(key string) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/decisions/stream", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("X-API-Key", key)
		rec := &firstWrite{header: http.Header{}, written: make(chan struct{})}
		done := make(chan int, 1)
		go func() { w.server.ServeHTTP(rec, r); done <- 0 }()
		<-rec.written
		opened = append(opened, done)
	}
	for range maxCallerStreams {
		open(shopKey)
	}
	w.problem(w.get("/decisions/stream", "X-API-Key", shopKey), http.StatusTooManyRequests, "too-many-open")
	open(bankKey)
	stop()
	for _, done := range opened {
		<-done
	}
}

// firstWrite is a response that says when something was written.
type firstWrite struct {
	header  http.Header
	written chan struct{}
	told    bool
}

func (f *firstWrite) Header() http.Header { return f.header }
func (f *firstWrite) WriteHeader(int)     {}
func (f *firstWrite) Flush()              {}

func (f *firstWrite) Write(b []byte) (int, error) {
	if !f.told {
		f.told = true
		close(f.written)
	}
	return len(b), nil
}
