package apptest

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// application is a value of the applications topic.
func application(id string, i int) []byte {
	return []byte(strings.Replace(question(id, i), "{", `{"applied_at":"2026-11-25T10:00:00Z",`, 1))
}

// emitTo emits n applications to each of some partitions: produce leaves the choice to
// the keys.
func (g *stage) emitTo(n int, partitions ...int32) {
	var records []*kgo.Record
	for _, p := range partitions {
		for range n {
			id := fmt.Sprintf("emitted-%d", g.emitted+len(records))
			records = append(records, &kgo.Record{Partition: p, Key: []byte(id), Value: application(id, len(records))})
		}
	}
	g.emitRecords(records...)
}

// emitRecords emits records as they are.
func (g *stage) emitRecords(records ...*kgo.Record) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(g.servers.kafka, ",")...), kgo.DefaultProduceTopic(g.prefix+".applications"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20))
	require.NoError(g.t, err)
	defer client.Close()
	require.NoError(g.t, client.ProduceSync(g.t.Context(), records...).FirstErr())
	g.emitted += len(records)
}
