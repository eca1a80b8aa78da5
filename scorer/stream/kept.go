package stream

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// What is kept of a part that does not fit, in bytes.
	keptValue   = 64 << 10
	keptKey     = 1 << 10
	keptHeaders = 16 << 10

	// What a header takes beyond its key and value, at most.
	headerOverhead = 10
	// What a letter takes beyond what was received, at most: the frame of a batch and
	// of its record, the names of topics, a message, digests.
	ownBytes = 3 << 10
	// The least that a topic of dead letters must take.
	leastRoom = ownBytes + 1<<10
)

// The parts of a record.
const (
	partKey = iota
	partHeaders
	partValue
	parts
)

// kept is what a dead letter carries of a record.
type kept struct {
	key, value                   []byte
	headers                      []kgo.RecordHeader
	keyCut, valueCut, headersCut bool
}

func (k *kept) cut() bool { return k.keyCut || k.valueCut || k.headersCut }

// keep takes of a record what fits into a letter of room bytes: the beginnings of
// key and value, and whole headers in their order, without those that are too large.
func keep(r *kgo.Record, room int) (k kept) {
	sizes := partSizes(r)
	shares := share(sizes, room-ownBytes)
	k.key, k.value, k.headers = r.Key[:shares[partKey]], r.Value[:shares[partValue]], r.Headers
	k.keyCut, k.valueCut, k.headersCut = shares[partKey] < sizes[partKey], shares[partValue] < sizes[partValue], shares[partHeaders] < sizes[partHeaders]
	if k.headersCut {
		k.headers = nil
		left := shares[partHeaders]
		for _, h := range r.Headers {
			if n := headerBytes(h); n <= left {
				k.headers = append(k.headers, h)
				left -= n
			}
		}
	}
	return k
}

// fits says whether a letter of room bytes carries all that was received.
func fits(r *kgo.Record, room int) bool {
	sizes := partSizes(r)
	return sizes[partKey]+sizes[partHeaders]+sizes[partValue] <= room-ownBytes
}

func partSizes(r *kgo.Record) (sizes [parts]int) {
	sizes[partKey], sizes[partValue] = len(r.Key), len(r.Value)
	for _, h := range r.Headers {
		sizes[partHeaders] += headerBytes(h)
	}
	return sizes
}

func headerBytes(h kgo.RecordHeader) int { return len(h.Key) + len(h.Value) + headerOverhead }

// share divides room among the parts of a record: the largest is cut first, to what
// is kept of it at most, then the next, until they fit.
func share(sizes [parts]int, room int) [parts]int {
	shares := sizes
	taken := func() int { return shares[partKey] + shares[partHeaders] + shares[partValue] }
	most := [parts]int{partKey: keptKey, partHeaders: keptHeaders, partValue: keptValue}
	order := []int{partKey, partHeaders, partValue}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	for _, part := range order {
		if taken() <= room {
			return shares
		}
		shares[part] = min(sizes[part], most[part])
	}
	if room = max(room, 0); taken() > room {
		shares[partKey] = min(shares[partKey], room/8)
		shares[partHeaders] = min(shares[partHeaders], room/4)
		shares[partValue] = min(shares[partValue], room-shares[partKey]-shares[partHeaders])
	}
	return shares
}
