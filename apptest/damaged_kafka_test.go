//go:build kafka

package apptest

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/kafkatest"
)

// A byte flips in the logs of three partitions on the broker's disk: in the records of a
// batch, in its length, in its first offset, which its checksum does not cover. Each of
// them stops, named with its offset; the fourth goes on. The judge counts what is
// unreadable and does not pass. A second scorer is told to pass over the batches while
// the first one runs, and everything else is answered, once.
func TestDamagedBatch_StopsItsPartitionUntilItIsSkippedOnKafka(t *testing.T) {
	data := os.Getenv("KAFKA_DATA")
	require.NotEmpty(t, data, "KAFKA_DATA is not set: the broker's disk is not ours; run: make test-kafka")
	g := newStage(t, given(t))
	all := []int32{0, 1, 2, 3}
	g.emitTo(20, all...)
	g.emitTo(8, all...) // offsets 20 … 27 of each partition
	g.emitTo(200, all...)
	topic := g.prefix + ".applications"
	require.NoError(t, kafkatest.Flip(data, topic, 0, 20, false))
	require.NoError(t, kafkatest.Flip(data, topic, 1, 20, true))
	require.NoError(t, kafkatest.Move(data, topic, 2, 20, 0)) // 20 becomes 21
	one := g.scorer("one").ready()
	until(t, time.Minute, "what lies before the damage is answered, and the fourth partition", func() bool { return g.witness.answered() == 3*20+228 })
	for partition := range 3 {
		until(t, 2*time.Minute, "a partition stops", func() bool {
			return one.measures(fmt.Sprintf(`creditstream_scorer_unreadable_offsets\{partition="%d"\} [1-9]`, partition))
		})
		require.NotEmpty(t, one.says(regexp.MustCompile(fmt.Sprintf("partition stopped: a batch cannot be read.*partition=%d offset=20", partition))))
	}

	// What the batch does not say about itself the refusal does.
	refused := start(t, "refused", g.with("score", "--model", "shipped", "--group", g.prefix, "--instance", "two", "--skip", "applications/1@20")...)
	<-refused.ended
	said := regexp.MustCompile(`--skip applications/1@20-(\d+)`).FindSubmatch(refused.stderr.bytes())
	require.NotNil(t, said, "the refusal names the last offset of the batch: %s", refused.stderr.bytes())
	last := string(said[1])
	two := g.scorer("two", "--skip", "applications/0@20", "--skip", "applications/1@20-"+last, "--skip", "applications/2@20").ready()
	var v verdict
	until(t, 2*time.Minute, "everything else is read", func() bool {
		judge := start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
		<-judge.ended
		judge.answer(&v)
		require.NotEqual(t, 1, judge.cmd.ProcessState.ExitCode(), "nothing is lost, doubled or altered")
		return v.Pending == 0
	})
	require.Zero(t, v.Lost+v.Duplicated+v.Altered)
	require.GreaterOrEqual(t, v.Unreadable, int64(3*8))
	require.EqualValues(t, g.emitted, int64(v.Predictions)+v.Unreadable)
	one.terminate()
	two.terminate()
}
