//go:build kafka

package apptest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A value that nearly fills what a topic takes at once, 1 MiB, holds up nobody: what
// is an application is decided, what is none is set aside whole, and those before
// and behind it are answered in their order.
func TestAnApplicationOfNearlyOneMebibyteOnKafka(t *testing.T) {
	t.Parallel()
	const size, around = 1_048_000, 20
	g := newStage(t, given(t))
	// Of letters by chance, which hardly compress: a broker's limit is for batches as
	// they are sent.
	chance := rand.New(rand.NewPCG(1, 1))
	padding := make([]byte, size)
	for i := range padding {
		padding[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[chance.IntN(64)]
	}
	opened := strings.TrimSuffix(string(application("large", 7)), "}") + `,"x":"`
	values := map[string]string{
		"large":           opened + string(padding[:size-len(opened)-len(`"}`)]) + `"}`,
		"large-malformed": `{"x":"` + string(padding[:size-len(`{"x":"`)]),
	}
	want := map[int32][]int64{} // offsets of the applications to be decided, by partition
	for p, key := range []string{"large", "large-malformed"} {
		require.Len(t, values[key], size)
		var records []*kgo.Record
		for i := range 2*around + 1 {
			id := fmt.Sprintf("beside-%s-%d", key, i)
			r := &kgo.Record{Partition: int32(p), Key: []byte(id), Value: application(id, i)}
			if i == around {
				r.Key, r.Value = []byte(key), []byte(values[key])
			}
			if key == "large" || i != around {
				want[r.Partition] = append(want[r.Partition], int64(i))
			}
			records = append(records, r)
		}
		g.emitRecords(records...)
	}
	one := g.scorer("one").ready()
	g.exact()
	one.terminate()
	require.Equal(t, 1, g.witness.judge().letters)
	got, last := map[int32][]int64{}, map[[2]int32]int64{}
	for _, d := range g.witness.made() {
		from := d.source.partition
		got[from] = append(got[from], d.source.offset)
		way := [2]int32{from, d.partition}
		before, ok := last[way]
		require.True(t, !ok || before < d.source.offset, "%d was answered behind %d", d.source.offset, before)
		last[way] = d.source.offset
	}
	for p, offsets := range want {
		require.ElementsMatch(t, offsets, got[p], "partition %d", p)
	}
}
