package judging

import (
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// mostClocks bounds what the state carries; further partitions have none.
const mostClocks = 1024

// clocks are how far each partition's decisions have come: the newest bucket of
// decided_at.
type clocks map[int32]schemas.Timestamp

// move takes in a pane of decisions and returns how far it moves its partition's
// clock, in microseconds: not at all where it is the partition's first or is late. A clock that ran
// ahead of the log's counts as the log's.
func (c clocks) move(p *drift.Pane, appended schemas.Timestamp) int64 {
	bucket := min(p.Bucket, appended)
	before, known := c[p.Partition]
	if !known && len(c) >= mostClocks || known && bucket <= before {
		return 0
	}
	c[p.Partition] = bucket
	if !known {
		return 0
	}
	return int64(bucket - before)
}
