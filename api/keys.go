package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/creditstream/creditstream/internal/bounded"
)

// keysInterval is how often the file of keys is looked at.
const keysInterval = 2 * time.Second

// minKey is the fewest characters of a key: what is shorter can be guessed.
const minKey = 16

// Keys are the callers and their keys, from a file that is read again when it
// changes. It is a lifecycle.Component.
type Keys struct {
	path string
	log  *slog.Logger
	read []byte // the file's text as it was taken up; Run's own
	set  atomic.Pointer[[]key]
}

type key struct {
	name   string
	digest [sha256.Size]byte
}

// OpenKeys reads a file of keys, one name:key a line, or name:sha256-HEX with the
// key's SHA-256. Empty lines and those that begin with # are skipped.
func OpenKeys(path string, log *slog.Logger) (*Keys, error) {
	k := &Keys{path: path, log: log}
	return k, k.refresh()
}

// refresh takes up the file if its text has changed. A wrong one changes nothing.
func (k *Keys) refresh() error {
	text, err := bounded.ReadFile(k.path, bounded.Text)
	if err != nil {
		return err
	}
	if k.set.Load() != nil && bytes.Equal(text, k.read) {
		return nil
	}
	set, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("%s %w", k.path, err)
	}
	k.read = text
	k.set.Store(&set)
	return nil
}

// parseKeys' errors name lines and callers, never keys.
func parseKeys(text []byte) ([]key, error) {
	var set []key
	names := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, secret, ok := strings.Cut(line, ":")
		name, secret = strings.TrimSpace(name), strings.TrimSpace(secret)
		if !ok || name == "" || secret == "" {
			return nil, fmt.Errorf("line %d: expected name:key or name:sha256-HEX", n)
		}
		if names[name] {
			return nil, fmt.Errorf("line %d: %s is there twice", n, name)
		}
		names[name] = true
		entry := key{name: name}
		if hexDigest, digest := strings.CutPrefix(secret, "sha256-"); digest {
			b, err := hex.DecodeString(hexDigest)
			if err != nil || len(b) != sha256.Size {
				return nil, fmt.Errorf("line %d: %s: expected 64 hex digits after sha256-", n, name)
			}
			copy(entry.digest[:], b)
		} else if len(secret) < minKey {
			return nil, fmt.Errorf("line %d: %s: expected a key of at least %d characters", n, name, minKey)
		} else {
			entry.digest = sha256.Sum256([]byte(secret))
		}
		set = append(set, entry)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("has no keys: expected name:key, one a line")
	}
	return set, nil
}

// caller is who a request's key belongs to.
func (k *Keys) caller(r *http.Request) (string, *problem) {
	secret := bearer(r.Header.Get("Authorization"))
	if secret == "" {
		secret = r.Header.Get("X-API-Key")
	}
	if secret == "" {
		return "", newProblem(http.StatusUnauthorized, "no-key", "A key is needed", "Send it as Authorization: Bearer KEY, or as X-API-Key.")
	}
	digest := sha256.Sum256([]byte(secret))
	name, found := "", 0
	for _, e := range *k.set.Load() { // all of them, whichever it is
		if same := subtle.ConstantTimeCompare(e.digest[:], digest[:]); same == 1 {
			name, found = e.name, 1
		}
	}
	if found == 0 {
		return "", newProblem(http.StatusForbidden, "wrong-key", "The key is not known here", "")
	}
	return name, nil
}

// bearer is what stands in an Authorization header behind its scheme, which is of any
// case and may be followed by more than one blank (RFC 9110); "" for another scheme.
func bearer(authorization string) string {
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(secret, " \t")
}

// Name is part of lifecycle.Component.
func (*Keys) Name() string { return "api-keys" }

// Ready is part of lifecycle.Component.
func (*Keys) Ready() error { return nil }

// Run takes up changes of the file until ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	tick := time.NewTicker(keysInterval)
	defer tick.Stop()
	complained := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		complaint := ""
		if err := k.refresh(); err != nil {
			complaint = err.Error()
		}
		if complaint != "" && complaint != complained {
			k.log.Error("API keys stay as they were", "error", complaint)
		}
		complained = complaint
	}
}
