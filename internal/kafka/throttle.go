package kafka

import (
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ThrottleLog names throttles, each kind of request's at most once in a while, whichever
// of a process's clients they are of, and that a client gets nothing else as often. Nil
// names nothing.
type ThrottleLog struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex // guards what follows
	said map[saying]time.Time
}

// saying is one of the things that a ThrottleLog says.
type saying struct {
	key  kmsg.Key
	only bool // that throttles are all that comes
}

// NewThrottleLog returns one that has named none; nil where there is no log.
func NewThrottleLog(log *slog.Logger) *ThrottleLog {
	if log == nil {
		return nil
	}
	return &ThrottleLog{log: log, now: time.Now, said: map[saying]time.Time{}}
}

// starved is how long a broker gives a client nothing but throttles before the log says
// what that may mean: far longer than a quota's window.
const starved = time.Minute

// name names a throttle; only is for how long nothing else has come.
func (l *ThrottleLog) name(broker int32, key kmsg.Key, interval, only time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due(saying{key: key}) {
		l.log.Warn("Kafka throttles this client: it is over a quota of its user or client id",
			"request", key.Name(), "throttle", interval, "broker", broker)
	}
	if only >= starved && l.due(saying{key: key, only: true}) {
		l.log.Warn("Kafka gives this client nothing: the next batch may be larger than ten seconds of its quota; "+
			"raise consumer_byte_rate", "for", only.Round(time.Second), "broker", broker)
	}
}

// due says whether it is time to say something, which then counts as said. l.mu is held.
func (l *ThrottleLog) due(what saying) bool {
	now := l.now()
	if last, ok := l.said[what]; ok && now.Sub(last) < sayAgain {
		return false
	}
	l.said[what] = now
	return true
}

// Throttle is what brokers have said of a client's quotas: a kgo.Hook. A broker
// that throttles answers at once and takes no further request for a while.
type Throttle struct {
	log *ThrottleLog
	now func() time.Time

	mu      sync.Mutex         // guards what follows
	read    map[int32]kmsg.Key // what each broker answered last
	until   time.Time
	imposed time.Duration
	answer  map[int32]bool // whether each broker has answered a fetch, and the next has not been sent
	fetched map[int32]int  // how many fetches each broker has answered without a throttle
	held    map[int32]hold // those brokers hold fetches back: their last answer said so
	size    fetchSize
}

// hold is how long a broker has answered fetches with nothing but throttles.
type hold struct{ since, until time.Time }

var (
	_ kgo.HookNewClient      = (*Throttle)(nil)
	_ kgo.HookBrokerWrite    = (*Throttle)(nil)
	_ kgo.HookBrokerRead     = (*Throttle)(nil)
	_ kgo.HookBrokerThrottle = (*Throttle)(nil)
)

// NewThrottle returns a hook that has throttles named; with a nil log it only
// remembers them.
func NewThrottle(log *ThrottleLog) *Throttle {
	return &Throttle{log: log, now: time.Now, read: map[int32]kmsg.Key{}, answer: map[int32]bool{}, fetched: map[int32]int{}, held: map[int32]hold{}}
}

// throttleOf is the hook that Options gave a client; nil: it has none.
func throttleOf(client *kgo.Client) *Throttle {
	hooks := reflect.ValueOf(client.OptValue(kgo.WithHooks)) // a slice of a type that is not exported
	for i := range hooks.Len() {
		if t, ok := hooks.Index(i).Interface().(*Throttle); ok {
			return t
		}
	}
	return nil
}

// OnNewClient is part of kgo.HookNewClient.
func (t *Throttle) OnNewClient(client *kgo.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size = newFetchSize(client)
}

// OnBrokerWrite is part of kgo.HookBrokerWrite. By the time the next fetch is sent the
// throttle of the answer to the one before has come, if it has one, and what it brought
// was polled.
func (t *Throttle) OnBrokerWrite(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kmsg.Key(key) == kmsg.Fetch && t.answer[broker.NodeID] {
		t.answer[broker.NodeID] = false
		t.fetched[broker.NodeID]++
		delete(t.held, broker.NodeID)
		t.size.answered()
	}
}

// OnBrokerRead is part of kgo.HookBrokerRead. It comes just before the throttle
// that the answer carries, which does not say what was answered.
func (t *Throttle) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read[broker.NodeID] = kmsg.Key(key)
	if kmsg.Key(key) == kmsg.Fetch && err == nil {
		t.answer[broker.NodeID] = true
	}
}

// OnBrokerThrottle is part of kgo.HookBrokerThrottle.
func (t *Throttle) OnBrokerThrottle(broker kgo.BrokerMetadata, interval time.Duration, _ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key, now, only := t.read[broker.NodeID], t.now(), time.Duration(0)
	if key == kmsg.Produce {
		t.imposed += interval
		if until := now.Add(interval); until.After(t.until) {
			t.until = until
		}
	}
	if t.answer[broker.NodeID] {
		if key != kmsg.Produce {
			key = kmsg.Fetch // another connection's answer has come in between
		}
		t.answer[broker.NodeID] = false
		h, ok := t.held[broker.NodeID]
		if !ok {
			h.since = now
		}
		h.until, only = now.Add(interval), now.Sub(h.since)
		t.held[broker.NodeID] = h
		t.size.throttled()
	}
	t.log.name(broker.NodeID, key, interval, only)
}

// Until is when the last throttle of a produce request ends.
func (t *Throttle) Until() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until
}

// Imposed is the sum of all throttles of produce requests.
func (t *Throttle) Imposed() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.imposed
}
