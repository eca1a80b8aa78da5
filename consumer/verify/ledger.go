package verify

import (
	"slices"

	"github.com/creditstream/creditstream/internal/kafka"
)

// blockSize is how many source offsets share one sum. Smaller blocks cost
// memory, larger ones make more to look at again.
const blockSize = 256

// ledger is what is known of the offsets from … to of one source partition.
type ledger struct {
	from, to  int64
	low       int64 // judged from here on, at least from
	present   bits  // a committed record is there: aborted ones and markers take offsets too
	answered  bits
	invalid   bits         // does not decode as an application
	sums      []uint64     // of each block: digests of the applications less those of their first answers
	suspect   bits         // blocks to look at again whatever their sum
	broken    []kafka.Span // what cannot be read
	oversized []kafka.Span // what is too large to be unpacked: there, and unknown
}

func newLedger(from, to int64) *ledger {
	n := max(0, to-from)
	blocks := (n + blockSize - 1) / blockSize
	return &ledger{
		from: from, to: max(from, to), low: from,
		present: newBits(n), answered: newBits(n), invalid: newBits(n),
		sums: make([]uint64, blocks), suspect: newBits(blocks),
	}
}

func (l *ledger) holds(offset int64) bool { return offset >= l.low && offset < l.to }

// has says whether a committed record is at an offset that the ledger holds.
func (l *ledger) has(offset int64) bool { return l.present.get(offset - l.from) }

// forget takes the offsets below start out and says how many.
func (l *ledger) forget(start int64) int64 {
	n := min(start, l.to) - l.low
	if n <= 0 {
		return 0
	}
	l.low += n
	return n
}

// isOversized says whether an offset is of a batch that is too large to be unpacked.
func (l *ledger) isOversized(offset int64) bool {
	return slices.ContainsFunc(l.oversized, func(s kafka.Span) bool { return s.From <= offset && offset < s.To })
}

// isUnreadable says whether an offset is of a batch that cannot be read.
func (l *ledger) isUnreadable(offset int64) bool {
	return slices.ContainsFunc(l.broken, func(s kafka.Span) bool { return s.From <= offset && offset < s.To })
}

// unanswered calls f with every offset that was not, in order.
func (l *ledger) unanswered(f func(offset int64, valid bool)) {
	for offset := l.low; offset < l.to; offset++ {
		if i := offset - l.from; l.present.get(i) && !l.answered.get(i) {
			f(offset, !l.invalid.get(i))
		}
	}
}

// applications counts the records of the offsets judged.
func (l *ledger) applications() (n int64) {
	for offset := l.low; offset < l.to; offset++ {
		if l.has(offset) {
			n++
		}
	}
	return n
}

func (l *ledger) block(offset int64) int64 { return (offset - l.from) / blockSize }

// applied enters an application.
func (l *ledger) applied(offset int64, digest uint64, valid bool) {
	l.present.set(offset - l.from)
	if !valid {
		l.invalid.set(offset - l.from)
	}
	l.sums[l.block(offset)] += digest
}

// answer enters an answer and says whether it is the first. One that is not, or
// whose digest is not known, has its block looked at again.
func (l *ledger) answer(offset int64, digest uint64, known bool) (first bool) {
	first = !l.answered.set(offset - l.from)
	if first && known {
		l.sums[l.block(offset)] -= digest
	} else {
		l.suspect.set(l.block(offset))
	}
	return first
}

// doubtful lists the blocks to look at again.
func (l *ledger) doubtful() (blocks []int64) {
	for i, sum := range l.sums {
		if sum != 0 || l.suspect.get(int64(i)) {
			blocks = append(blocks, int64(i))
		}
	}
	return blocks
}

// bits is a set of small numbers.
type bits []uint64

func newBits(n int64) bits { return make(bits, (n+63)/64) }

func (b bits) get(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }

// set adds i and says whether it was there.
func (b bits) set(i int64) bool {
	was := b.get(i)
	b[i/64] |= 1 << (i % 64)
	return was
}
