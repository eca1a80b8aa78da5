package member

import "github.com/twmb/franz-go/pkg/kgo"

// fetched is what was polled since the last turn. The markers that end producers'
// transactions take offsets and are nothing to answer. They are fetched so that a
// partition in which only they are left is known to be answered to its end, and taken
// out before anybody else sees them.
type fetched struct {
	to      map[int32]int64 // offset after the last of each partition, markers included
	records int             // without markers
}

func (f *fetched) reset() {
	clear(f.to)
	f.records = 0
}

// take notes what was polled and takes the markers out of it, in place.
func (f *fetched) take(fetches kgo.Fetches) {
	for i := range fetches {
		for j := range fetches[i].Topics {
			partitions := fetches[i].Topics[j].Partitions
			for k := range partitions {
				p := &partitions[k]
				if n := len(p.Records); n > 0 {
					f.to[p.Partition] = max(f.to[p.Partition], p.Records[n-1].Offset+1)
					p.Records = withoutMarkers(p.Records)
					f.records += len(p.Records)
				}
			}
		}
	}
}

func withoutMarkers(records []*kgo.Record) []*kgo.Record {
	kept := 0
	for i, r := range records {
		if r.Attrs.IsControl() {
			continue
		}
		if kept != i {
			records[kept] = r
		}
		kept++
	}
	return records[:kept]
}
