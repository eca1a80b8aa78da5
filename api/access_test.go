package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func openKeys(t *testing.T, text string) *Keys {
	path := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	k, err := OpenKeys(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return k
}

const shopKey, bankKey = "shop-key-0123456789", "bank-key-0123456789"

func twoKeys(t *testing.T) *Keys {
	sum := sha256.Sum256([]byte(bankKey))
	return openKeys(t, "# who may ask\n\nshop: "+shopKey+"\nbank:sha256-"+hex.EncodeToString(sum[:])+"\n")
}

func TestWhatNeedsAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t); c.Feed = newFeed() })
	for _, at := range [][2]string{{"POST", "/predict"}, {"POST", "/predict/batch"}, {"GET", "/predictions/x"}, {"GET", "/model"}, {"GET", "/decisions"}, {"GET", "/decisions/stream"}} {
		rec := w.do(at[0], at[1], "")
		w.problem(rec, http.StatusUnauthorized, "no-key")
		require.Equal(t, `Bearer realm="creditstream"`, rec.Header().Get("WWW-Authenticate"))
		w.problem(w.do(at[0], at[1], "", "Authorization", "Bearer nobody-has-this-key"), http.StatusForbidden, "wrong-key")
		w.problem(w.do(at[0], at[1], "", "X-API-Key", "nobody-has-this-key"), http.StatusForbidden, "wrong-key")
	}
	for _, path := range []string{"/", "/assets/page.js", "/assets/page.css", "/assets/icon.svg", "/docs", "/docs/docs.js", "/openapi.json", "/healthz", "/readyz"} {
		require.Equal(t, http.StatusOK, w.get(path).Code, path)
	}
	for _, headers := range [][]string{{"Authorization", "Bearer " + shopKey}, {"X-API-Key", shopKey}, {"Authorization", "Bearer " + bankKey}} {
		require.Equal(t, http.StatusOK, w.get("/model", headers...).Code)
		w.answer(w.post("/predict", request(example), headers...))
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                           "has no keys",
		"# only this\n":              "has no keys",
		"shop\n":                     "line 1: expected name:key",
		":" + shopKey:                "line 1: expected name:key",
		"a:" + shopKey + "\nshop:":   "line 2: expected name:key",
		"shop:short":                 "line 1: shop: expected a key of at least 16",
		"shop:sha256-12":             "line 1: shop: expected 64 hex digits",
		"a:" + shopKey + "\na:xxxxx": "line 2: a is there twice",
	} {
		_, err := parseKeys([]byte(text))
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), shopKey)
	}
	_, err := OpenKeys(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	k := twoKeys(t)
	w := newWorld(t, func(c *Config) { c.Keys = k })
	require.NoError(t, os.WriteFile(k.path, []byte("shop:another-key-0123456789"), 0o600))
	require.NoError(t, k.refresh())
	w.problem(w.get("/model", "X-API-Key", shopKey), http.StatusForbidden, "wrong-key")
	require.Equal(t, http.StatusOK, w.get("/model", "X-API-Key", "another-key-0123456789").Code)

	require.NoError(t, os.WriteFile(k.path, []byte("nonsense"), 0o600))
	require.ErrorContains(t, k.refresh(), "line 1")
	require.Equal(t, http.StatusOK, w.get("/model", "X-API-Key", "another-key-0123456789").Code, "a broken file changes nothing")
}

func TestKeysRunTakesUpChanges(t *testing.T) {
	t.Parallel()
	k := twoKeys(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	require.NoError(t, os.WriteFile(k.path, []byte("new:another-key-0123456789"), 0o600))
	require.Eventually(t, func() bool { return (*k.set.Load())[0].name == "new" }, time.Minute, 10*time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

func TestRateOfOneCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t); c.Limits.PerSecond, c.Limits.Burst = 0.5, 2 })
	ask := func(key string) int { return w.get("/model", "X-API-Key", key).Code }
	require.Equal(t, http.StatusOK, ask(shopKey))
	require.Equal(t, http.StatusOK, ask(shopKey))
	rec := w.get("/model", "X-API-Key", shopKey)
	w.problem(rec, http.StatusTooManyRequests, "rate")
	require.Equal(t, "2", rec.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, ask(bankKey), "another caller")
	w.now = w.now.Add(1999 * time.Millisecond)
	rec = w.get("/model", "X-API-Key", shopKey)
	w.problem(rec, http.StatusTooManyRequests, "rate")
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	w.now = w.now.Add(time.Millisecond)
	require.Equal(t, http.StatusOK, ask(shopKey))

	// Guessing keys is held to the address's rate.
	require.Equal(t, http.StatusForbidden, ask("guess-1-0123456789"))
	require.Equal(t, http.StatusForbidden, ask("guess-2-0123456789"))
	require.Equal(t, http.StatusTooManyRequests, ask("guess-3-0123456789"))
	require.Equal(t, http.StatusOK, w.get("/healthz").Code)
}

// Who guesses keys is not told that one is right once its address's rate is used up.
func TestWrongKeys_AreNotComparedPastTheAddressesRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t); c.Limits.PerSecond, c.Limits.Burst = 0.5, 2 })
	ask := func(peer, key string) int { return w.ask(peer, "/model", "X-API-Key", key).Code }
	require.Equal(t, 200, ask("192.0.2.1:1", shopKey), "right keys do not count for the address")
	require.Equal(t, 403, ask("192.0.2.1:2", "guess-1-0123456789"))
	require.Equal(t, 401, ask("192.0.2.1:3", ""))
	require.Equal(t, 429, ask("192.0.2.1:4", shopKey), "right, and not to be found out")
	require.Equal(t, 429, ask("192.0.2.1:5", "guess-2-0123456789"))
	require.Equal(t, 200, ask("192.0.2.2:1", shopKey), "another address")
	w.now = w.now.Add(2 * time.Second)
	require.Equal(t, 200, ask("192.0.2.1:6", shopKey), "looking takes nothing")
	require.Equal(t, 200, ask("192.0.2.1:7", bankKey))
}

func TestWrongKeys_AreLoggedNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t) })
	for range 500 {
		w.ask("192.0.2.7:1", "/model", "X-API-Key", "guess-1-0123456789")
	}
	require.Equal(t, 1, strings.Count(w.logged.String(), "\n"))
	require.Contains(t, w.logged.String(), "address=192.0.2.7 reason=wrong-key refused=1")
	w.now = w.now.Add(seldomInterval)
	w.ask("192.0.2.8:1", "/model")
	require.Equal(t, 2, strings.Count(w.logged.String(), "\n"))
	require.Contains(t, w.logged.String(), "address=192.0.2.8 reason=no-key refused=500")
	require.NotContains(t, w.logged.String(), "guess-1")
}

func TestKeys_AreTakenFromAnyBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keys = twoKeys(t) })
	for _, authorization := range []string{"Bearer " + shopKey, "bearer " + shopKey, "BEARER  " + shopKey, "Bearer \t " + shopKey + " "} {
		require.Equal(t, http.StatusOK, w.get("/model", "Authorization", authorization).Code, authorization)
	}
	require.Equal(t, http.StatusOK, w.get("/model", "Authorization", "Basic abc", "X-API-Key", shopKey).Code)
	for _, authorization := range []string{"Bearer", "Bearer  ", "Basic " + shopKey, shopKey, "Bearer" + shopKey} {
		w.problem(w.get("/model", "Authorization", authorization), http.StatusUnauthorized, "no-key")
	}
}

func TestLimiter_LooksWithoutTaking(t *testing.T) {
	t.Parallel()
	l := newLimiter(0.5, 1)
	now := time.Unix(0, 0)
	require.Zero(t, l.peek("a", now))
	require.Empty(t, l.accounts)
	require.Zero(t, l.wait("a", now))
	require.Equal(t, 2*time.Second, l.peek("a", now))
	require.Equal(t, time.Second, l.peek("a", now.Add(time.Second)))
	require.Zero(t, l.peek("a", now.Add(2*time.Second)))
	require.Zero(t, l.wait("a", now.Add(2*time.Second)))
}

func TestAddressesAreApart(t *testing.T) {
	t.Parallel()
	require.Equal(t, "10.0.0.1", address("10.0.0.1:1234"))
	require.Equal(t, "10.0.0.1", address("[::ffff:10.0.0.1]:1"))
	require.Equal(t, address("[2001:db8:1:2:3::1]:1"), address("[2001:db8:1:2:ffff::2]:2"), "one subscriber")
	require.NotEqual(t, address("[2001:db8:1:2::1]:1"), address("[2001:db8:1:3::1]:1"))
	require.Equal(t, "pipe", address("pipe"))
}

func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	l := newLimiter(1, 1)
	now := time.Unix(0, 0)
	for i := range maxAccounts {
		require.Zero(t, l.wait(fmt.Sprint(i), now))
	}
	now = now.Add(500 * time.Millisecond)
	require.Zero(t, l.wait("one more", now), "from what the others share")
	require.Positive(t, l.wait("yet another", now))
	require.Len(t, l.accounts, maxAccounts)
	now = now.Add(2 * time.Second)
	require.Zero(t, l.wait("later", now))
	require.Len(t, l.accounts, 1, "all were as good as new")
	require.Nil(t, newLimiter(0, 5))
}

func TestNoMoreThanSoManyInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.InFlight, c.Limits.PerCaller = 1, 2 })
	entered, release := make(chan struct{}), make(chan struct{})
	w.log.enter = func(context.Context) error { close(entered); <-release; return nil }
	done := make(chan int)
	go func() { done <- w.post("/predict", request(example)).Code }()
	<-entered
	rec := w.get("/model")
	w.problem(rec, http.StatusServiceUnavailable, "busy")
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, w.get("/healthz").Code)
	close(release)
	require.Equal(t, http.StatusOK, <-done)
	require.Equal(t, http.StatusOK, w.get("/model").Code)
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	var missing, pending error
	w := newWorld(t, func(c *Config) {
		c.Ready = func() error { return missing }
		c.Pending = func() error { return pending }
	})
	require.Equal(t, "ready\n", w.get("/readyz").Body.String())
	pending = errors.Join(errors.New("models: route revision 3 waits"), errors.New("redis: away"))
	rec := w.get("/readyz")
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, "ready\nmodels: route revision 3 waits\nredis: away\n", rec.Body.String())
	missing = errAway
	rec = w.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Equal(t, errAway.Error()+"\n", rec.Body.String())
}

func FuzzParseKeys(f *testing.F) {
	f.Add("# c\nshop: " + shopKey + "\n")
	f.Add("shop:sha256-" + strings.Repeat("a1", 32))
	f.Add("a:b:c\r\n:\n")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parseKeys([]byte(text))
		if err != nil {
			require.Nil(t, set)
			return
		}
		require.NotEmpty(t, set)
		names := map[string]bool{}
		for _, k := range set {
			require.NotEmpty(t, k.name)
			require.NotContains(t, names, k.name)
			names[k.name] = true
		}
	})
}
