package stretch

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// episode is an alert from when it fired until it was over, by the time of the
// decisions that it was about: a backlog is judged long after it was decided.
type episode struct {
	fired, resolved *schemas.Alert // resolved is nil of one that fires still
}

// overAt is when it was over, the end of time for one that fires still. An alert that
// was taken back says no new stretch of decisions: then it is when that was said.
func (e *episode) overAt() schemas.Timestamp {
	switch {
	case e.resolved == nil:
		return 1<<63 - 1
	case e.resolved.Window.To != e.fired.Window.To:
		return e.resolved.Window.To
	}
	return e.resolved.EvaluatedAt
}

// readAlerts finds the alerts that fired at some time of the stretch, and says why
// there may have been others; empty: these are all.
func (r *reading) readAlerts(ctx context.Context) (told []drift.AlertStatus, unknown string) {
	var unread kafka.Unread
	episodes, gaps, hidden, err := r.episodes(ctx, &unread)
	if err != nil {
		return nil, r.Kafka.Explain(err).Error()
	}
	from, to := schemas.At(r.counted.From), schemas.At(r.counted.To)
	for _, e := range episodes {
		over := e.overAt()
		if e.fired.Window.To >= to || over < from {
			continue
		}
		last := *e.fired
		if e.resolved != nil && over < to {
			last = *e.resolved
		}
		told = append(told, drift.AlertStatus{Alert: last})
	}
	slices.SortStableFunc(told, func(a, b drift.AlertStatus) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Alert.Alert, b.Alert.Alert), cmp.Compare(a.Since, b.Since))
	})
	var why []string
	if len(hidden) > 0 {
		why = append(why, hidden[0].String()+": alerts that lie there cannot be read until it ends")
	}
	for _, w := range []string{r.untold(gaps), unread.String()} {
		if w != "" {
			why = append(why, w)
		}
	}
	return told, strings.Join(why, "; ")
}

// episodes are those of the whole topic of alerts, when no evaluator wrote a status at
// the time of the stretch, and what cannot be read because a transaction hangs.
func (r *reading) episodes(ctx context.Context, unread *kafka.Unread) (all []*episode, gaps []gap, hidden []kafka.Open, err error) {
	client, err := r.Kafka.Connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	topic := r.Topics.DriftAlerts
	if err := kafka.RequireAccess(ctx, adm, kafka.Reads(topic, r.Topics.DriftStatus)); err != nil {
		return nil, nil, nil, err
	}
	ends, hidden, err := r.Kafka.Settled(ctx, adm, kafka.OpenPatience, topic, r.Topics.DriftStatus)
	if err != nil {
		return nil, nil, nil, err
	}
	open := map[string]*episode{}
	err = r.Kafka.Quiet().ReadCommitted(ctx, kafka.Spans{topic: ends.Spans()[topic]}, kafka.Sink{Unreadable: unread.PassOver, Each: func(record *kgo.Record) error {
		a := &schemas.Alert{}
		if schemas.DecodeAlert(record.Value, a) != nil {
			return nil //nolint:nilerr // the evaluator wrote no such thing
		}
		switch e := open[a.Alert]; {
		case a.State == schemas.AlertFiring:
			e = &episode{fired: a}
			open[a.Alert], all = e, append(all, e)
		case e != nil:
			e.resolved = a
			delete(open, a.Alert)
		}
		return nil
	}})
	if err != nil {
		return nil, nil, nil, err
	}
	gaps, err = r.unwatched(ctx, adm)
	return all, gaps, hidden, err
}
