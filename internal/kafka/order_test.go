package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// bytesOf are batches as they follow each other in a log, each of the offsets from
// first to last that it claims.
func bytesOf(batches ...[2]int64) (out []byte) {
	for _, b := range batches {
		one := make([]byte, batchHeader)
		binary.BigEndian.PutUint64(one, uint64(b[0]))
		binary.BigEndian.PutUint32(one[batchLength:], batchHeader-batchLength-4)
		one[batchMagic] = 2
		binary.BigEndian.PutUint32(one[batchDelta:], uint32(b[1]-b[0]))
		binary.BigEndian.PutUint32(one[batchChecksum:], crc32.Checksum(one[batchChecked:], castagnoli))
		out = append(out, one...)
	}
	return out
}

func TestMisplaced_IsABatchInTheWayOfTheNext(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		next int64
		base int64 // of the one that is wrong; -1: none is
	}{
		"in order":                        {bytesOf([2]int64{20, 20}, [2]int64{21, 30}, [2]int64{31, 42}), 21, -1},
		"a hole, as compaction leaves":    {bytesOf([2]int64{20, 20}, [2]int64{25, 30}, [2]int64{31, 42}), 21, -1},
		"too high":                        {bytesOf([2]int64{20, 20}, [2]int64{53, 62}, [2]int64{31, 42}), 21, 53},
		"too high, first in the log":      {bytesOf([2]int64{32, 41}, [2]int64{10, 20}), 0, 32},
		"too low":                         {bytesOf([2]int64{20, 20}, [2]int64{5, 14}, [2]int64{31, 42}), 21, 5},
		"too high, and passed over":       {bytesOf([2]int64{53, 62}, [2]int64{31, 42}, [2]int64{43, 47}), 31, -1},
		"too high behind one passed over": {bytesOf([2]int64{53, 62}, [2]int64{31, 42}, [2]int64{90, 94}, [2]int64{48, 50}), 31, 90},
		"beyond the end of the log":       {bytesOf([2]int64{20, 20}, [2]int64{153, 162}), 21, 153},
	} {
		wrong, _ := misplaced(c.in, c.next, 100)
		if c.base < 0 {
			require.Nil(t, wrong, name)
			continue
		}
		require.NotNil(t, wrong, name)
		require.Equal(t, c.base, wrong.base, name)
	}
}
