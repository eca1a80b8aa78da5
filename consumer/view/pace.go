package view

import (
	"context"
	"errors"
	"net"
)

// minEntries is how few entries one round trip may come down to.
const minEntries = 16

// pace is how many entries one round trip carries. A Redis too slow to answer a whole
// batch in time would be asked for the same batch forever: where an answer does not come
// in time half as many are asked for, and after each that does, an eighth more.
type pace struct {
	entries int // 0: as many as there are
}

// write puts entries into the view, however long that takes. It ends before with ctx, or
// where Redis says that it may not be done.
func (p *pace) write(ctx context.Context, o *outage, store *Store, entries []Entry) (Written, error) {
	var sum Written
	for len(entries) > 0 {
		var n int
		err := o.retry(ctx, func(ctx context.Context) error {
			n = len(entries)
			if p.entries > 0 {
				n = min(n, p.entries)
			}
			w, err := store.Write(ctx, entries[:n])
			if late(err) {
				p.entries = max(minEntries, n/2)
			}
			if err == nil {
				sum.Written += w.Written
				sum.Stale += w.Stale
			}
			return err
		})
		if err != nil {
			return Written{}, err
		}
		entries = entries[n:]
		if p.entries += p.entries / 8; p.entries >= maxBatch {
			p.entries = 0
		}
	}
	return sum, nil
}

// late says whether an answer did not come in time.
func late(err error) bool {
	failed, ok := errors.AsType[net.Error](err)
	return ok && failed.Timeout()
}
