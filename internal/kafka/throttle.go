package kafka

import (
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Throttle is what brokers have said of a client's quotas: a kgo.Hook. A broker
// that throttles answers at once and takes no further request for a while.
type Throttle struct {
	log *slog.Logger // nil: nothing is logged
	now func() time.Time

	mu      sync.Mutex         // guards what follows
	read    map[int32]kmsg.Key // what each broker answered last
	said    map[kmsg.Key]time.Time
	until   time.Time
	imposed time.Duration
}

var (
	_ kgo.HookBrokerRead     = (*Throttle)(nil)
	_ kgo.HookBrokerThrottle = (*Throttle)(nil)
)

// NewThrottle returns a hook that logs throttles, each kind of request's at most
// once in a while; with a nil log it only remembers them.
func NewThrottle(log *slog.Logger) *Throttle {
	return &Throttle{log: log, now: time.Now, read: map[int32]kmsg.Key{}, said: map[kmsg.Key]time.Time{}}
}

// OnBrokerRead is part of kgo.HookBrokerRead. It comes just before the throttle
// that the answer carries, which does not say what was answered.
func (t *Throttle) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read[broker.NodeID] = kmsg.Key(key)
}

// OnBrokerThrottle is part of kgo.HookBrokerThrottle.
func (t *Throttle) OnBrokerThrottle(broker kgo.BrokerMetadata, interval time.Duration, _ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key, now := t.read[broker.NodeID], t.now()
	if key == kmsg.Produce {
		t.imposed += interval
		if until := now.Add(interval); until.After(t.until) {
			t.until = until
		}
	}
	if last, ok := t.said[key]; t.log == nil || ok && now.Sub(last) < sayAgain {
		return
	}
	t.said[key] = now
	t.log.Warn("Kafka throttles this client: it is over a quota of its user or client id",
		"request", key.Name(), "throttle", interval, "broker", broker.NodeID)
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
