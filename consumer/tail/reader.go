package tail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
)

// How long nothing may come before it is looked up why.
const quiet = time.Second

// What that look may take.
const stallTimeout = 5 * time.Second

// reader is a client that reads every partition from a known offset on.
type reader struct {
	topic  string
	client *kgo.Client
	next   map[int32]int64
	ends   map[int32]int64 // of what was committed at the beginning
	open   []kafka.Open    // what lay behind open transactions then

	stalls   kafka.Stalls
	patience kafka.Patience
}

// poll waits for what comes, at most for as long as given. broken are the partitions
// that cannot be read on behind that: see passOver. The error is one that reading on
// does not mend.
func (r *reader) poll(ctx context.Context, wait time.Duration) (fetches kgo.Fetches, broken []int32, err error) {
	poll, cancel := context.WithTimeout(ctx, wait)
	fetches = r.client.PollFetches(poll)
	cancel()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if fetches.NumRecords() > 0 {
		r.patience.Reset()
	}
	var failing error
	silent := fetches.NumRecords() == 0
	for _, e := range fetches.Errors() {
		switch {
		case kafka.IsFailing(e.Err):
			failing = fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		case kafka.IsUnreadable(e):
			broken = append(broken, e.Partition)
		case !kerr.IsRetriable(e.Err) && !errors.Is(e.Err, context.DeadlineExceeded):
			return nil, nil, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	switch {
	case failing != nil:
		return fetches, broken, r.patience.Wait(ctx, failing)
	case silent && len(broken) == 0:
		look, cancel := context.WithTimeout(ctx, stallTimeout)
		stalled, _ := r.stalls.Look(look, r.client, r.topic, r.next) // where it cannot look, what reads says why
		cancel()
		for _, u := range stalled {
			broken = append(broken, u.Partition)
		}
	}
	return fetches, broken, nil
}

// passOver goes on behind the batches that cannot be read, telling of each.
func (r *reader) passOver(ctx context.Context, broken []int32, tell func(*kafka.UnreadableError) error) error {
	for _, partition := range broken {
		u, err := kafka.Unreadable(ctx, r.client, r.topic, partition, r.next[partition])
		if err != nil || u == nil {
			kafka.ReadAgain(r.client, r.topic, partition, r.next[partition]) // it may have gone past the batch's first record
			if err := r.patience.Wait(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err := tell(u); err != nil {
			return err
		}
		r.next[partition] = u.To
		r.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: {partition: {Epoch: -1, Offset: u.To}}})
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
