package aggregate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
)

// Decisions knows what was decided about applications, as far as it has read the
// log of predictions. An error with a method Permanent that says true ends the
// process; any other is tried again.
type Decisions interface {
	// Claim joins outcomes with decisions; of one decision only the first outcome
	// that claims it, and that one as often as it does. A claim that was made while a
	// later decision was not known yet is given back by the outcome's next.
	Claim(ctx context.Context, claims []counting.Claim) ([]counting.Claimed, error)
	// Passed says whether all of a log of predictions below the partitions' ends is
	// known.
	Passed(ctx context.Context, log Log, ends map[int32]int64) (bool, error)
}

// Log tells the logs of one name apart: a topic that was deleted and made again is
// another.
type Log [16]byte

const (
	// Between one look at whether the decisions have caught up and the next.
	firstJoinPause = 20 * time.Millisecond
	lastJoinPause  = time.Second
)

// joiner joins outcomes with decisions, however long that takes.
type joiner struct {
	parent *Aggregator
	client *kgo.Client
}

// join answers claims once everything is known that the log of predictions holds by
// now: an outcome is of the last decision before it, which an earlier one must not
// stand for.
func (j *joiner) join(ctx context.Context, claims []counting.Claim) ([]counting.Claimed, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	j.parent.metrics.held.Set(float64(len(claims)))
	defer j.parent.metrics.held.Set(0)
	var (
		log  Log
		ends map[int32]int64
	)
	err := j.patiently(ctx, func(ctx context.Context) (_ bool, err error) {
		log, ends, err = j.ends(ctx)
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	for {
		if err := j.await(ctx, &log, &ends); err != nil {
			return nil, err
		}
		answers, err := j.claim(ctx, claims)
		if err != nil {
			return nil, err
		}
		// Emptied between one look and the other, decisions would seem unknown, or an
		// earlier one the last.
		known := false
		err = j.patiently(ctx, func(ctx context.Context) (_ bool, err error) {
			known, err = j.parent.config.Decisions.Passed(ctx, log, ends)
			return err == nil, err
		})
		if err != nil || known {
			return answers, err
		}
	}
}

func (j *joiner) claim(ctx context.Context, claims []counting.Claim) (answers []counting.Claimed, err error) {
	err = j.patiently(ctx, func(ctx context.Context) (_ bool, err error) {
		answers, err = j.parent.config.Decisions.Claim(ctx, claims)
		return err == nil, err
	})
	return answers, err
}

// await waits until the decisions below the ends are known. Of a log that was deleted
// and made again those are others.
func (j *joiner) await(ctx context.Context, log *Log, ends *map[int32]int64) error {
	return j.patiently(ctx, func(ctx context.Context) (bool, error) {
		passed, err := j.parent.config.Decisions.Passed(ctx, *log, *ends)
		if passed || err != nil {
			return passed, err
		}
		now, err := logOf(ctx, kadm.NewClient(j.client), j.parent.config.Topics.Predictions)
		if err == nil && now != *log {
			var made map[int32]int64
			if now, made, err = j.ends(ctx); err == nil {
				*log, *ends = now, made
			}
		}
		return false, err
	})
}

// ends is where the log of predictions ends now, open transactions included: what
// they hold may have been decided before an outcome was told.
func (j *joiner) ends(ctx context.Context) (Log, map[int32]int64, error) {
	adm, topic := kadm.NewClient(j.client), j.parent.config.Topics.Predictions
	id, err := logOf(ctx, adm, topic)
	if err != nil {
		return Log{}, nil, err
	}
	listed, err := kafka.Listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return Log{}, nil, err
	}
	again, err := logOf(ctx, adm, topic)
	if err != nil {
		return Log{}, nil, err
	}
	if again != id { // the ends may be either log's
		return Log{}, nil, fmt.Errorf("topic %s is being made again", topic)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return id, ends, nil
}

// logOf asks the broker: what the client remembers may be a log that is gone.
func logOf(ctx context.Context, adm *kadm.Client, topic string) (Log, error) {
	topics, err := adm.ListTopics(kadm.WithAuthorizedOps(ctx), topic) // those are never remembered
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return Log{}, fmt.Errorf("looking for topic %s: %w", topic, err)
	}
	return Log(topics[topic].ID), nil
}

// outcomeName names an outcome by where it stands.
func outcomeName(log Log, r *kgo.Record) string {
	b := fmt.Appendf(nil, "%x", log[:4])
	b = strconv.AppendInt(append(b, '/'), int64(r.Partition), 10)
	return string(strconv.AppendInt(append(b, '/'), r.Offset, 10))
}

// errBehind is what outcomes wait for when nothing is wrong.
var errBehind = errors.New("outcomes wait until the view has caught up with the predictions")

// patiently tries until it is done, the error is permanent or ctx ends. It says
// what outcomes wait for meanwhile.
func (j *joiner) patiently(ctx context.Context, try func(context.Context) (done bool, err error)) error {
	defer j.wait(nil)
	failed := false
	pause := retry.Pause{First: firstJoinPause, Max: lastJoinPause}
	for {
		done, err := try(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if retry.IsPermanent(err) {
				return member.Permanent(err, "joining outcomes with decisions")
			}
			if why := j.parent.needs().Resolve(ctx, err); why != nil {
				return why
			}
			j.parent.metrics.joinErrors.Inc()
			if !failed {
				j.parent.config.Log.Warn("outcomes can not be joined with decisions, trying again until they can", "error", err)
			}
			failed = true
			j.wait(fmt.Errorf("outcomes wait: %w", err))
		case done:
			if failed {
				j.parent.config.Log.Info("outcomes can be joined with decisions again")
			}
			return nil
		default:
			j.wait(errBehind)
		}
		if !pause.Wait(ctx) {
			return ctx.Err()
		}
	}
}

func (j *joiner) wait(why error) {
	j.parent.mu.Lock()
	defer j.parent.mu.Unlock()
	j.parent.waits = why
}
