package kafka

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// PassOversized makes a client go on behind the batches at which it stopped in a poll
// because they unpack to more than MaxBatch, and hands each of them to passed; nil: nobody
// is told. It is for those who read only what this product writes, which never does.
func PassOversized(client *kgo.Client, fetches kgo.Fetches, passed func(*kgo.ErrDecompressTooLarge)) {
	for _, e := range fetches.Errors() {
		large, ok := errors.AsType[*kgo.ErrDecompressTooLarge](e.Err)
		if !ok {
			continue
		}
		if passed != nil {
			passed(large)
		}
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{large.Topic: {large.Partition: {Epoch: -1, Offset: large.NextOffset}}})
	}
}
