package api

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxAccounts bounds the limiter's memory, whoever calls.
	maxAccounts = 10_000
	// sweepInterval is how often a full limiter looks for accounts to forget.
	sweepInterval = time.Second
)

// limiter holds every account to the same rate.
type limiter struct {
	rate  rate.Limit
	burst int

	mu       sync.Mutex // guards what follows
	accounts map[string]*rate.Limiter
	swept    time.Time
	others   *rate.Limiter // shared by those there is no room for
}

// newLimiter returns nil where there is no limit.
func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	if burst < 1 {
		burst = max(1, int(math.Ceil(perSecond)))
	}
	return &limiter{
		rate: rate.Limit(perSecond), burst: burst,
		accounts: map[string]*rate.Limiter{}, others: rate.NewLimiter(rate.Limit(perSecond), burst),
	}
}

// wait takes a request from an account: 0 when it may go on, otherwise how long
// until one may.
func (l *limiter) wait(account string, now time.Time) time.Duration {
	l.mu.Lock()
	a := l.account(account, now)
	l.mu.Unlock()
	r := a.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > 0 {
		r.CancelAt(now)
	}
	return d
}

// peek is how long an account has to wait for its next request, which is not taken.
func (l *limiter) peek(account string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[account]
	if a == nil {
		if len(l.accounts) < maxAccounts {
			return 0 // a new one
		}
		a = l.others
	}
	missing := 1 - a.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing / float64(l.rate) * float64(time.Second))
}

func (l *limiter) account(name string, now time.Time) *rate.Limiter {
	if a := l.accounts[name]; a != nil {
		return a
	}
	if len(l.accounts) >= maxAccounts && now.Sub(l.swept) >= sweepInterval {
		l.swept = now
		for k, a := range l.accounts {
			if a.TokensAt(now) >= float64(l.burst) { // as good as a new one
				delete(l.accounts, k)
			}
		}
	}
	if len(l.accounts) >= maxAccounts {
		return l.others
	}
	a := rate.NewLimiter(l.rate, l.burst)
	l.accounts[name] = a
	return a
}

// address is the account of a caller without a key: its IPv4 address, or the /64
// that one IPv6 subscriber has.
func address(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
