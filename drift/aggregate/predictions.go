package aggregate

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// What one transaction counts at most: as much is counted again where it is
	// aborted.
	maxDecisions = 500_000
	// What the client fetches of each partition at once: memory is bounded by
	// partition, not by answer, which an embedded broker may cut short of what it
	// says of aborted transactions.
	fetchBytes = 512 << 10
)

// predictions is a session that counts decisions.
type predictions struct {
	session
	panes    *counting.Panes
	champion *model.Model // whose reference's bins are counted over
	bins     *counting.Bins

	prediction schemas.Prediction
}

func newPredictions(a *Aggregator, id string) *predictions {
	topic := a.config.Topics.Predictions
	return &predictions{
		session: newSession(a, id, schemas.EventPrediction, topic, a.predictions, kgo.FetchMaxPartitionBytes(fetchBytes)), panes: counting.NewPanes(topic, a.config.Bucket),
	}
}

func (s *predictions) run(ctx context.Context) error { return s.member.Run(ctx, s.turn) }

// turn counts what comes until a commit is due, and commits.
func (s *predictions) turn(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
	s.panes.Reset()
	n := 0
	records, err := s.gather(ctx, sess, func(r *kgo.Record) (enough bool, err error) {
		n++
		return n >= maxDecisions || s.panes.Full(), s.add(ctx, r)
	})
	if ctx.Err() != nil {
		// What was counted is not committed: the next owner counts it again.
		return false, nil //nolint:nilerr // told to stop is not a failure
	}
	if err != nil || records == 0 {
		return false, err
	}
	return s.commit(ctx, sess, records, s.panes.All())
}

// add counts one record. It waits while its schema cannot be had; the error is
// then ctx's.
func (s *predictions) add(ctx context.Context, r *kgo.Record) error {
	// The champion may change between one record and the next.
	if live := s.parent.config.Live(); live.Champion != s.champion {
		s.champion = live.Champion
		if b := counting.NewBins(live.Champion.Reference); s.bins == nil || b.Reference != s.bins.Reference {
			s.bins = b
		}
	}
	p := &s.prediction
	if err := s.parent.config.Codec.DecodeDecision(ctx, r.Value, p); err != nil {
		left, err := s.malformed(r, err)
		if left {
			s.panes.Malformed(r.Partition, r.Offset, schemas.At(r.Timestamp), s.bins)
		}
		return err
	}
	s.panes.Decision(r.Partition, r.Offset, s.bins, p)
	return nil
}
