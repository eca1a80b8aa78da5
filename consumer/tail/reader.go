package tail

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// How long nothing may come before it is looked up why.
const quiet = time.Second

// What that look may take.
const stallTimeout = 5 * time.Second

// fetchWait is how long a broker holds back an answer without records: a look waits behind
// those of other partitions.
const fetchWait = 500 * time.Millisecond

// reader is a client that reads every partition from a known offset on.
type reader struct {
	topic  string
	client *kgo.Client
	next   map[int32]int64
	ends   map[int32]int64 // of what was committed at the beginning
	open   []kafka.Open    // what lay behind open transactions then

	stalls   kafka.Stalls
	places   *kafka.Places
	patience kafka.Patience
}

// close ends the reading.
func (r *reader) close() {
	r.client.Close()
	r.places.Close()
}

// poll waits for what comes, at most for as long as given. broken are the partitions
// that cannot be read on behind that: see passOver. The error is one that reading on
// does not mend.
func (r *reader) poll(ctx context.Context, wait time.Duration) (fetches kgo.Fetches, broken []kgo.FetchError, err error) {
	poll, cancel := context.WithTimeout(ctx, wait)
	fetches = r.client.PollFetches(poll)
	cancel()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	silent := fetches.NumRecords() == 0
	if broken, _, err = kafka.Faults(fetches); err != nil {
		return nil, nil, err
	}
	broken = append(broken, r.places.TakeOut(ctx, fetches, r.at)...)
	if fetches.NumRecords() > 0 {
		r.patience.Reset()
	}
	if silent && len(broken) == 0 {
		look, cancel := context.WithTimeout(ctx, stallTimeout)
		stalled, _ := r.stalls.Look(look, r.client, r.topic, r.next) // where it cannot look, what reads says why
		cancel()
		for _, u := range stalled {
			broken = append(broken, kgo.FetchError{Topic: u.Topic, Partition: u.Partition, Err: u.Err})
		}
	}
	return fetches, broken, nil
}

// at is from which offset a partition is to be read on.
func (r *reader) at(_ string, partition int32) (from, end int64, ok bool) {
	next, ok := r.next[partition]
	return next, math.MaxInt64, ok
}

// passOver goes on behind the batches that cannot be read, telling of each.
func (r *reader) passOver(ctx context.Context, broken []kgo.FetchError, tell func(*kafka.UnreadableError) error) error {
	for _, e := range broken {
		u, next, err := r.places.Ahead(ctx, r.client, e, r.next[e.Partition])
		if u != nil {
			if err := tell(u); err != nil {
				return err
			}
		}
		r.next[e.Partition] = next
		if err := r.patience.Wait(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// grown is an error when the topic has partitions that are not read.
func (r *reader) grown(ctx context.Context) error {
	topics, err := kadm.NewClient(r.client).ListTopics(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("looking for partitions of %s: %w", r.topic, err)
	}
	if n := len(topics[r.topic].Partitions); n > len(r.next) {
		return fmt.Errorf("%s has %d partitions now, %d are read", r.topic, n, len(r.next))
	}
	return nil
}
