package stream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lagInterval is how often the lag is looked up. It is asked of the cluster, not
// taken from what was last read: a scorer that is stuck reads nothing, and that
// is when its lag matters.
const (
	lagInterval = 5 * time.Second
	lagTimeout  = 5 * time.Second
)

// watchLag keeps the gauges of the owned partitions until ctx ends. It also finds
// out that applications is gone, which a consumer never does: it waits for the
// topic to come back; and that Kafka is away, which a session that has nothing to
// read does not notice.
func (s *Scorer) watchLag(ctx context.Context) error {
	tick := time.NewTicker(s.lagInterval)
	defer tick.Stop()
	shown := map[int32]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			var err error
			shown, err = s.showLag(ctx, shown)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				if why := s.resolve(ctx, err); why != nil {
					return why
				}
				// The gauges keep their last values.
				err = fmt.Errorf("kafka does not answer: %w", err)
			}
			s.mu.Lock()
			s.away = err
			s.mu.Unlock()
		}
	}
}

// showLag sets the gauges of the partitions owned now and removes those of the
// partitions that were shown and are not owned. It returns what is shown.
func (s *Scorer) showLag(ctx context.Context, shown map[int32]bool) (map[int32]bool, error) {
	topic := s.config.Topics.Applications
	at := map[int32]int64{}
	var client *kgo.Client
	s.mu.Lock()
	for _, one := range s.sessions {
		if c := one.client.Load(); c != nil {
			client = c
			for partition, o := range c.CommittedOffsets()[topic] {
				at[partition] = o.Offset
			}
		}
	}
	s.stuck = len(at) > 0 && len(s.stopped) > 0
	for partition := range at {
		_, stopped := s.stopped[partition]
		s.stuck = s.stuck && stopped
	}
	for partition := range shown {
		if _, owned := at[partition]; !owned {
			delete(s.stopped, partition)
			label := strconv.Itoa(int(partition))
			s.metrics.lag.DeleteLabelValues(label)
			s.metrics.unreachable.DeleteLabelValues(label)
		}
	}
	shown = map[int32]bool{}
	for partition := range at {
		shown[partition] = true
	}
	// One that was stopped a moment ago may be about to be owned.
	for partition := range s.stopped {
		shown[partition] = true
	}
	s.mu.Unlock()
	if client == nil {
		return shown, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	// The end that read_committed sees: what is open may yet be aborted.
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	for partition, offset := range at {
		if end, ok := ends.Lookup(topic, partition); ok && end.Err == nil {
			s.metrics.lag.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(max(0, end.Offset-offset)))
		}
	}
	return shown, err
}
