package member

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Begin begins the group where it has never committed (see Begin), and names what had
// left the log by then: nothing in it was ever read, and nobody can judge it any more.
// wanted says that the operator has chosen to leave out what came before.
func (r *Reach) Begin(ctx context.Context, adm *kadm.Client, wanted bool, beginning func(context.Context) (kadm.ListedOffsets, error)) error {
	var begun kadm.ListedOffsets
	topic := r.config.Topic
	err := Begin(ctx, adm, r.config.Group, topic, func(ctx context.Context) (_ kadm.ListedOffsets, err error) {
		begun, err = beginning(ctx)
		return begun, err
	})
	if err != nil || begun == nil || wanted {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil //nolint:nilerr // it has begun: nothing but this is not known
	}
	begun.Each(func(o kadm.ListedOffset) {
		start, ok := starts.Lookup(topic, o.Partition)
		// Where it begins behind the start, what was removed had been left out anyway.
		if !ok || start.Err != nil || start.Offset == 0 || o.Offset > start.Offset {
			return
		}
		r.config.Removed.WithLabelValues(strconv.Itoa(int(o.Partition))).Set(float64(start.Offset))
		r.config.Log.Warn("the log had lost its beginning before this group began: what was there was never read and cannot be judged (look at retention.ms and message.timestamp.type of the topic)",
			"topic", topic, "partition", o.Partition, "offsets", start.Offset, "begins_at", start.Offset, "group", r.config.Group)
	})
	return nil
}
