package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errDoubt is what a client says of a log in which a look finds nothing wrong.
var errDoubt = errors.New("the client cannot read what a look finds readable")

// Faults are what a poll says of partitions that the client does not read on, behind the
// records that came with it: see Places.Find. silent says that nothing came in time. err
// is what reading on does not mend; what the client gets over by itself is none.
func Faults(fetches kgo.Fetches) (broken []kgo.FetchError, silent bool, err error) {
	for _, e := range fetches.Errors() {
		switch {
		case IsUnreadable(e), IsFailing(e.Err), IsOutside(e.Err):
			broken = append(broken, e)
		case errors.Is(e.Err, context.DeadlineExceeded):
			silent = true
		case !errors.Is(e.Err, context.Canceled) && !kerr.IsRetriable(e.Err):
			return nil, false, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return broken, silent, nil
}

// Look is Look, by a client whose questions do not wait behind fetches.
func (p *Places) Look(ctx context.Context, topic string, partition int32, at int64) (View, error) {
	client, err := p.asking()
	if err != nil {
		return View{}, err
	}
	return Look(ctx, client, topic, partition, at)
}

// Ahead finds what a reader does not get past, as Find does, and makes it fetch from next;
// from where it is where what can be read there does not come, look after look.
func (p *Places) Ahead(ctx context.Context, reader *kgo.Client, e kgo.FetchError, at int64) (u *UnreadableError, next int64, err error) {
	if e.Err != nil { // the client may have gone past the batch's first record
		ReadAgain(reader, e.Topic, e.Partition, at)
	}
	u, next, err = p.Find(ctx, e, at)
	switch {
	case next > at:
		ReadAgain(reader, e.Topic, e.Partition, next)
	case err == nil && e.Err == nil && p.silent.again(e.Topic, e.Partition, at):
		ReadAgain(reader, e.Topic, e.Partition, at)
	}
	return u, next, err
}

// Find finds what a reader does not get past in a partition that is to be read on at an
// offset: what an error of a poll or of TakeOut says, or, with an error of nil, whatever
// the client waits for in silence. u is the batch, nil where there is none that counts: see
// Unreadable.
//
// err says why next is not further on, where something was wrong. It is for Patience:
// where the client complains of what a look can read, that may pass as well.
func (p *Places) Find(ctx context.Context, e kgo.FetchError, at int64) (u *UnreadableError, next int64, err error) {
	u, named := errors.AsType[*UnreadableError](e.Err)
	switch {
	case named && u.From < at:
		return nil, at, nil // the client complained of it as well
	case named:
		return u, u.To, nil
	}
	client, err := p.asking()
	if err != nil {
		return nil, at, err
	}
	u, next, err = Unreadable(ctx, client, e.Topic, e.Partition, at)
	switch {
	case err != nil || next > at || e.Err == nil:
		return u, next, err
	case IsPassing(e.Err):
		return nil, next, fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	return nil, next, fmt.Errorf("reading %s/%d at offset %d: %w: %s", e.Topic, e.Partition, at, errDoubt, e.Err.Error())
}
