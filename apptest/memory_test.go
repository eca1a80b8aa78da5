package apptest

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What docs/runbook.md says that a component needs, and what it is to be told.
const (
	enoughMemory = 512 << 20
	memoryLimit  = "400MiB"
)

// peak is the most memory that a process had resident, in bytes.
func (a *app) peak() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	require.NoError(a.t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(a.t, found)
	kilobytes, err := strconv.ParseInt(string(found[1]), 10, 64)
	require.NoError(a.t, err)
	return kilobytes << 10
}

// pack writes records to a partition in batches that are small as they are sent,
// whatever they unpack to.
func (g *stage) pack(topic string, partition int32, batches ...[]*kgo.Record) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(g.servers.kafka, ",")...), kgo.DefaultProduceTopic(g.prefix+"."+topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(50*time.Millisecond),
		kgo.ProducerBatchMaxBytes(400<<20), kgo.MaxBufferedBytes(1<<30), kgo.BrokerMaxWriteBytes(1<<30))
	require.NoError(g.t, err)
	defer client.Close()
	for _, records := range batches {
		for _, r := range records {
			r.Partition = partition
		}
		require.NoError(g.t, client.ProduceSync(g.t.Context(), records...).FirstErr())
	}
}

// padded are applications with blanks behind them.
func (g *stage) padded(n, size int) (records []*kgo.Record) {
	for range n {
		id := fmt.Sprintf("emitted-%d", g.emitted)
		g.emitted++
		value := application(id, g.emitted)
		records = append(records, &kgo.Record{Key: []byte(id), Value: append(value, bytes.Repeat([]byte(" "), size-len(value))...)})
	}
	return records
}

// Batches of a few kilobytes that unpack to hundreds of megabytes are on applications
// and predictions, and valid applications padded to nearly 1 MiB, 55 in a batch. Every
// component reads them in the memory that the documentation names.
func readsInLittleMemory(t *testing.T, s servers) {
	t.Setenv("GOMEMLIMIT", memoryLimit)
	g := bareStage(t, s)
	run(t, g.with("topics", "apply", "--partitions", "2", "--group", g.prefix)...)
	g.pack("applications", 0, g.padded(40, 1000), g.padded(1, 300<<20), g.padded(150, 1<<20), g.padded(40, 1000))
	const refused = 151 // the applications of two batches beyond 64 MiB
	for range 5 {
		g.pack("applications", 0, g.padded(55, 1<<20))
		g.pack("applications", 1, g.padded(55, 1<<20))
	}
	g.pack("predictions", 1, g.padded(1, 300<<20), g.padded(55, 1<<20), g.padded(55, 1<<20))
	const foreign = 111
	g.emitted -= foreign

	all := []*app{
		g.scorer("one").ready(), g.view("view").ready(), service(t, "drift", g.with("drift", "--redis", s.redis, "--model", "shipped")...).ready(),
		service(t, "api", g.with("api", "--redis", s.redis, "--model", "shipped", "--api-listen", freeAddress(t))...).ready(),
	}
	var v verdict
	judge := func() *app {
		a := start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
		<-a.ended
		return a
	}
	until(t, 2*time.Minute, "every application is answered", func() bool {
		judge().answer(&v)
		return v.Pending == 0
	})
	require.Equal(t, g.emitted, v.Applications)
	require.Equal(t, g.emitted-refused, v.Predictions)
	require.Equal(t, refused, v.DeadLetters)
	require.Zero(t, v.Lost+v.Duplicated)
	until(t, 2*time.Minute, "the view has passed what it cannot read", func() bool { return all[1].measures(`creditstream_view_unreadable_offsets_total 1$`) })
	until(t, 2*time.Minute, "the aggregator has counted the decisions", func() bool {
		return all[2].measures(fmt.Sprintf(`creditstream_drift_decisions_total %d$`, g.emitted-refused))
	})
	for _, a := range all {
		t.Logf("%s: at most %d MiB resident", a.name, a.peak()>>20)
		require.Less(t, a.peak(), int64(enoughMemory), a.name)
		a.terminate()
	}
}

func TestMemory_IsBoundedWhateverIsOnTheTopics(t *testing.T) {
	long(t)
	readsInLittleMemory(t, embedded(t))
}
