package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/retry"
)

// heldPatience is how long after a throttle a broker may take to answer the next fetch,
// which waits for records for some seconds where there are none.
const heldPatience = 10 * time.Second

// Silence is that of a log of which nothing comes to a client. Over a quota a broker
// answers fetches with nothing: that says nothing of the log, and to look at the log
// would use up the same quota. The zero value is ready to use.
type Silence struct{ fetched map[int32]int }

// Broken notes that something came, or that the log was looked at.
func (s *Silence) Broken(client *kgo.Client) {
	t := throttleOf(client)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.fetched = maps.Clone(t.fetched)
}

// Throttled says whether a quota is why nothing has come since: there is a broker that
// has answered no fetch but with throttles, the last of which is not long over.
func (s *Silence) Throttled(client *kgo.Client) bool {
	t := throttleOf(client)
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for broker, h := range t.held {
		if t.fetched[broker] <= s.fetched[broker] && t.now().Before(h.until.Add(heldPatience)) {
			return true
		}
	}
	return false
}

// errQuota is why a broker answers with nothing.
var errQuota = errors.New("a quota")

// untilAnswered asks a broker again for as long as a quota makes it answer with nothing:
// that says nothing of the log.
func untilAnswered(ctx context.Context, broker *kgo.Broker, request *kmsg.FetchRequest) (*kmsg.FetchResponse, error) {
	for {
		response, err := broker.RetriableRequest(ctx, request)
		if err != nil {
			return nil, err
		}
		fetched := response.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(fetched.ErrorCode); err != nil {
			return nil, err
		}
		held := time.Duration(fetched.ThrottleMillis) * time.Millisecond
		if held <= 0 || len(fetched.Topics) > 0 {
			return fetched, nil
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < held || !retry.Sleep(ctx, held) {
			return nil, fmt.Errorf("the broker holds answers back for %s (%w)", held, errQuota)
		}
	}
}
