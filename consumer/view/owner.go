package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/schemas"
)

// theLog is what a view is made of: one topic of one cluster. A topic that was deleted
// and made again is another log of the same cluster; its old one is no more, so that
// what is kept of that may be replaced. Another cluster's log may well go on.
type theLog struct {
	number  uint32 // of the topic's id
	cluster string // "" where the brokers do not say
}

// logOf is the log of a topic.
func logOf(ctx context.Context, adm *kadm.Client, topic string) (theLog, error) {
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topic)); err != nil {
		return theLog{}, err
	}
	m, err := adm.Metadata(ctx, topic)
	if err == nil {
		err = m.Topics[topic].Err
	}
	if err != nil {
		return theLog{}, fmt.Errorf("looking for topic %s: %w", topic, err)
	}
	return theLog{logNumber(m.Topics[topic].ID), m.Cluster}, nil
}

// ownLua notes whose the view is where that is not known or is to be changed, and
// answers whose it was.
const ownLua = `
local held = redis.call('GET', KEYS[1])
if not held or ARGV[2] == '1' then redis.call('SET', KEYS[1], ARGV[1]) end
return held or ''
`

// own makes the view one cluster's, unless it is another's; takeOver makes it this
// one's then, too.
func (s *Store) own(ctx context.Context, cluster string, takeOver bool) (held string, err error) {
	take := "0"
	if takeOver {
		take = "1"
	}
	held, err = s.client.Eval(ctx, ownLua, []string{s.keys.cluster}, cluster, take).Text()
	if err != nil {
		return "", fmt.Errorf("looking whose the view in Redis is: %w", err)
	}
	return held, nil
}

// requireOwn refuses a view that is kept of another cluster's log under the same
// prefix: the two would replace each other's decisions for ever.
func requireOwn(ctx context.Context, c Config, s *Store, o *outage, cluster string) error {
	if cluster == "" {
		return nil
	}
	var held string
	err := o.retry(ctx, func(ctx context.Context) (err error) {
		held, err = s.own(ctx, cluster, c.TakeOver)
		return err
	})
	if err != nil {
		return err
	}
	if held != "" && held != cluster && !c.TakeOver {
		return member.Permanent(&OtherLogError{c.Kafka.Prefix, held, cluster}, "following predictions")
	}
	return nil
}

// OtherLogError says that Redis holds the view of another cluster's log.
type OtherLogError struct {
	Prefix       string // of both deployments
	Theirs, Ours string // ids of Kafka clusters
}

func (e *OtherLogError) Error() string {
	return fmt.Sprintf("Redis holds the view of another log under prefix %q: %s of Kafka cluster %s; this is cluster %s. "+
		"Give one of the two another --prefix, or another Redis; if that cluster is no more, run view --rebuild --take-over",
		e.Prefix, schemas.NewTopics(e.Prefix).Predictions, e.Theirs, e.Ours)
}

// errUnknownCluster is for as long as no broker has been reached.
var errUnknownCluster = errors.New("looking whose the view in Redis is: no Kafka broker has said yet which cluster this is")

// Of is the Store for whoever reads the view of one Kafka cluster's log, and must not
// take another's for it: reading and claiming then fail with an *OtherLogError. A view
// that nobody has begun is nobody's. A cluster "" does not say who it is.
func (s *Store) Of(cluster func() (id string, known bool)) *Store {
	own := *s
	own.whose = cluster
	return &own
}

// Own is nil where the view is that of the Store's cluster, or nobody's yet.
func (s *Store) Own(ctx context.Context) error {
	pipe := s.client.Pipeline()
	whose := s.askWhose(ctx, pipe)
	_, _ = pipe.Exec(ctx) // the command says what became of it
	return s.checkOwn(whose)
}

// askWhose asks whose the view is together with what is read of it; nil where that does
// not matter.
func (s *Store) askWhose(ctx context.Context, pipe redis.Pipeliner) *redis.StringCmd {
	if s.whose == nil {
		return nil
	}
	return pipe.Get(ctx, s.keys.cluster)
}

// checkOwn judges the answer to askWhose.
func (s *Store) checkOwn(asked *redis.StringCmd) error {
	if asked == nil {
		return nil
	}
	theirs, err := asked.Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whose the view in Redis is: %w", err)
	}
	ours, known := s.whose()
	switch {
	case !known:
		return errUnknownCluster
	case ours != "" && ours != theirs:
		return &OtherLogError{s.prefix, theirs, ours}
	}
	return nil
}
