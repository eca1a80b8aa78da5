package api

import (
	"net/http"
	"time"
)

// handler answers a caller, or says why it cannot.
type handler func(w http.ResponseWriter, r *http.Request, caller string) *problem

// bodyHandler answers a caller who sent something. It must not keep the body.
type bodyHandler func(w http.ResponseWriter, r *http.Request, caller string, body []byte) *problem

// guard lets a request through to what reads decisions.
func (s *Server) guard(h handler) http.HandlerFunc {
	return s.guarded(h, s.callers, s.slots)
}

// guardStream is guard for requests that stay: they have places of their own.
func (s *Server) guardStream(h handler) http.HandlerFunc {
	return s.guarded(h, s.watchers, s.streams)
}

func (s *Server) guarded(h handler, callers *callers, slots chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.pass(w, r, callers, 0, func(caller string, _ *visit) *problem {
			return inSlot(slots, func() *problem { return h(w, r, caller) })
		})
		if err != nil {
			err.write(w)
		}
	}
}

// guardBody lets a request through to what makes decisions of its body. A body that
// takes its time occupies none of the places where requests are worked on.
func (s *Server) guardBody(limit int64, h bodyHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.pass(w, r, s.callers, limit, func(caller string, v *visit) *problem {
			buffer := s.bodies.Get().(*[]byte)
			defer s.keepBuffer(buffer)
			var p *problem
			*buffer, p = readBody(w, r, (*buffer)[:0], limit)
			if s.callers.received(v); p != nil {
				return p
			}
			return inSlot(s.slots, func() *problem { return h(w, r, caller, *buffer) })
		})
		if err != nil {
			err.write(w)
		}
	}
}

// keepBuffer gives a buffer back, unless only a large batch needs one like it.
func (s *Server) keepBuffer(buffer *[]byte) {
	if cap(*buffer) <= keptBody {
		s.bodies.Put(buffer)
	}
}

// inSlot works in one of the slots, if one is free.
func inSlot(slots chan struct{}, work func() *problem) *problem {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return work()
	default:
		return newProblem(http.StatusServiceUnavailable, "busy", "Too many requests are being worked on", "").after(1)
	}
}

// pass holds a request to what callers may do. limit is how long its body may be; 0:
// it has none.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, callers *callers, limit int64, next func(caller string, v *visit) *problem) *problem {
	if p := s.sameOrigin(r); p != nil {
		return p
	}
	caller, account, p := s.authenticate(r)
	if p != nil {
		if p.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="creditstream"`)
		}
		return p
	}
	v := &visit{account: account, began: s.config.Now()}
	if limit > 0 {
		v.bytes = announced(r, limit)
		v.cut = func() { _ = http.NewResponseController(w).SetReadDeadline(past) }
	}
	if p := callers.enter(v); p != nil {
		return p
	}
	defer callers.leave(v)
	return next(caller, v)
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// announced is how many bytes a body is going to have, as far as one can say.
func announced(r *http.Request, limit int64) int64 {
	if r.ContentLength < 0 {
		return limit
	}
	return min(r.ContentLength, limit)
}

// sameOrigin refuses what a page elsewhere makes a visitor's browser ask for. A
// trusted proxy that rewrites the Host says which it was.
func (s *Server) sameOrigin(r *http.Request) *problem {
	err := s.origins.Check(r)
	if err == nil {
		return nil
	}
	for _, host := range s.config.Proxies.hosts(r) {
		asSent := *r
		asSent.Host = host
		if s.origins.Check(&asSent) == nil {
			return nil
		}
	}
	p := newProblem(http.StatusForbidden, "cross-origin", "Another site's page may not ask for this", "")
	if origin := r.Header.Get("Origin"); origin != "" && r.Header.Get("Sec-Fetch-Site") == "" {
		p.Detail = "Its Origin is " + brief(origin) + ", the Host here " + brief(r.Host) +
			". A proxy that rewrites the Host must pass it on with its port, or send X-Forwarded-Host and be named in --trusted-proxies."
	}
	return p
}

// brief is what a client sent, short enough to be told again.
func brief(text string) string { return text[:min(len(text), 100)] }

// authenticate names the caller ("" where no key is asked for) and the account that
// its requests count for, and holds it to its rate. A caller without a right key is
// held to its address's: once that is used up no more keys are compared.
func (s *Server) authenticate(r *http.Request) (caller, account string, p *problem) {
	now := s.config.Now()
	from := s.address(r)
	if s.config.Keys == nil {
		return "", from, s.limited(from, now)
	}
	if s.limiter != nil {
		s.unnamedProxy(r)
		if wait := s.limiter.peek(from, now); wait > 0 {
			s.refused(from, "rate")
			return "", "", tooMany(wait)
		}
	}
	if caller, p = s.config.Keys.caller(r); p != nil {
		if limited := s.limited(from, now); limited != nil {
			p = limited
		}
		s.refused(from, p.Type[len(problemType):])
		return "", "", p
	}
	account = "key " + caller
	return caller, account, s.limited(account, now)
}

// address is the account of whoever asks without a key.
func (s *Server) address(r *http.Request) string { return address(s.config.Proxies.caller(r)) }

// limited takes a request from an account.
func (s *Server) limited(account string, now time.Time) *problem {
	if s.limiter == nil {
		return nil
	}
	if wait := s.limiter.wait(account, now); wait > 0 {
		return tooMany(wait)
	}
	return nil
}

func tooMany(wait time.Duration) *problem {
	seconds := int((wait + time.Second - 1) / time.Second)
	return newProblem(http.StatusTooManyRequests, "rate", "Too many requests", "").after(seconds)
}

// refused tells the log of callers without a right key, now and then.
func (s *Server) refused(from, reason string) {
	if n := s.refusals.take(s.config.Now()); n > 0 {
		s.config.Log.Warn("requests without a right API key are refused", "address", from, "reason", reason, "refused", n)
	}
}
