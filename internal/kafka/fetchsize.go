package kafka

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// A client that is throttled asks for less than this, and for less each time.
	throttledFetch = 1 << 20
	// It asks for no less: there is a whole batch in each answer, however large.
	smallestFetch = 16 << 10
)

// fetchSize is how many bytes a client asks for at once. Kafka answers with nothing
// where what was asked for is more than what is left of some ten seconds of a quota, and
// others may use up a part of each of them: who asks for much would never be answered.
// The zero value leaves it as it is.
type fetchSize struct {
	set             func(total, partition int32) // nil: there is no client
	full, partition int32                        // what the client is set to ask for
	now             int32
}

func newFetchSize(client *kgo.Client) fetchSize {
	full, _ := client.OptValue(kgo.FetchMaxBytes).(int32)
	partition, _ := client.OptValue(kgo.FetchMaxPartitionBytes).(int32)
	return fetchSize{set: client.UpdateFetchMaxBytes, full: full, partition: partition, now: full}
}

// throttled halves it.
func (s *fetchSize) throttled() { s.change(min(s.now, throttledFetch) / 2) }

// answered doubles it, to what it was at most.
func (s *fetchSize) answered() { s.change(min(s.now, s.full/2) * 2) }

func (s *fetchSize) change(size int32) {
	size = min(max(size, smallestFetch), s.full)
	if s.set == nil || size == s.now {
		return
	}
	s.now = size
	s.set(size, min(size, s.partition))
}
