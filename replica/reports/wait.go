package reports

import (
	"context"
	"fmt"
	"time"

	"github.com/creditstream/creditstream/replica"
)

// Waited is what the replicas made of a route.
type Waited struct {
	Served   bool               `json:"served"` // by every one of them
	Serving  []string           `json:"serving"`
	Refusing []replica.Refusing `json:"refusing"`
	Waiting  []replica.Waiting  `json:"waiting"`
	Why      string             `json:"why"` // why nothing more is known; empty when all is settled
}

// Wait follows the topic until every live replica serves a route revision or never will,
// for as long as within. versions are the models that the route names.
func (l *Log) Wait(ctx context.Context, within time.Duration, revision int64, versions []string) *Waited {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out := &Waited{Serving: []string{}, Refusing: []replica.Refusing{}, Waiting: []replica.Waiting{}}
	for {
		v := l.Board.Judge(time.Now(), revision, versions)
		var err error
		if !v.Settled() {
			err = l.Follow(limited, time.Second)
		}
		if !v.Settled() && err == nil {
			continue
		}
		out.Serving = append(out.Serving, v.Serving...)
		out.Refusing = append(out.Refusing, v.Refusing...)
		out.Waiting = append(out.Waiting, v.Waiting...)
		out.Served = v.Settled() && len(v.Refusing) == 0
		switch {
		case v.Settled():
		case ctx.Err() != nil:
			out.Why = "interrupted"
		case limited.Err() == nil:
			out.Why = err.Error()
		case len(v.Serving)+len(v.Waiting)+len(v.Refusing) == 0:
			out.Why = fmt.Sprintf("no scorer and no API is running that reports to the replicas topic, for %s", within)
		default:
			out.Why = fmt.Sprintf("not served everywhere within %s", within)
		}
		return out
	}
}
