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
	g.witnessed()
	topic := g.prefix + ".applications"
	require.NoError(t, kafkatest.Flip(data, topic, 0, 20, false))
	require.NoError(t, kafkatest.Flip(data, topic, 1, 20, true))
	require.NoError(t, kafkatest.Move(data, topic, 2, 20, 0)) // 20 becomes 21
	one := g.scorer("one").ready()
	until(t, 2*time.Minute, "what lies before the damage is answered, and the fourth partition", func() bool { return g.witness.answered() == 3*20+228 })
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

// The byte of a batch that says its format changes on the broker's disk: the broker gives
// its bytes to who comes from before it, and otherwise fails, with UNKNOWN_SERVER_ERROR as
// a rule, for every offset up to the next entry of its index. The scorer stops there and
// names it, a view that begins passes over it and gets ready, the judge names what is
// unreadable and does not fail.
func TestDamagedFormat_IsNamedAndPassedOverOnKafka(t *testing.T) {
	data := os.Getenv("KAFKA_DATA")
	require.NotEmpty(t, data, "KAFKA_DATA is not set: the broker's disk is not ours; run: make test-kafka")
	for _, magic := range []byte{0, 1} {
		t.Run(fmt.Sprint(magic), func(t *testing.T) {
			g := newStage(t, given(t))
			one := g.scorer("one").ready()
			all := []int32{0, 1, 2, 3}
			sent := 0
			for _, n := range []int{20, 8, 20} { // transactions of their own, so batches of predictions too
				g.emitTo(n, all...)
				sent += 4 * n
				until(t, time.Minute, "what was emitted is answered", func() bool { return g.witness.answered() == sent })
			}
			one.terminate()
			g.emitTo(8, all...) // offsets 48 … 55
			g.emitTo(200, all...)
			g.emitTo(20, all...)
			g.witnessed()
			require.NoError(t, kafkatest.Format(magic)(data, g.prefix+".applications", 2, 48))
			one = g.scorer("one").ready()
			until(t, 2*time.Minute, "the partition stops, and the others are answered", func() bool {
				return one.measures(`creditstream_scorer_unreadable_offsets\{partition="2"\} [1-9]`) && g.witness.answered() == sent+3*228
			})
			require.NotEmpty(t, one.says(regexp.MustCompile("partition stopped: a batch cannot be read.*partition=2 offset=48")))
			// A byte of the checksum is now what says how records are compressed: where it says
			// that they are not, one time in eight, the broker does not look into the batch.
			two := g.scorer("two", "--skip", "applications/2@48")
			until(t, time.Minute, "two is refused, or is ready", func() bool { return two.hasEnded() || isReady(two.listen) })
			if two.hasEnded() {
				said := regexp.MustCompile(`--skip (applications/2@48-\d+)`).FindSubmatch(two.stderr.bytes())
				require.NotNil(t, said, two.stderr.String())
				two = g.scorer("two", "--skip", string(said[1])).ready()
			}

			// 28 applications of each partition were answered by then: this is not the first batch.
			require.NoError(t, kafkatest.Format(magic)(data, g.prefix+".predictions", 1, 30))
			view := g.view("view").ready()
			require.True(t, view.measures(`creditstream_view_unreadable_offsets_total [1-9][0-9]*`))
			require.NotEmpty(t, view.says(regexp.MustCompile("left out: a batch cannot be read.*partition=1 ")))

			var v verdict
			var judge *app
			until(t, 2*time.Minute, "everything else is read", func() bool {
				judge = start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
				<-judge.ended
				judge.answer(&v)
				return v.Pending == 0
			})
			require.Equal(t, 3, judge.cmd.ProcessState.ExitCode(), "what cannot be read is not judged, and nothing is lost")
			require.Zero(t, v.Lost+v.Duplicated+v.Altered)
			require.Greater(t, v.Unreadable, int64(8))
			tail := start(t, "tail", g.with("tail", "--from", "start", "--limit", "100000")...)
			<-tail.ended
			require.Zero(t, tail.cmd.ProcessState.ExitCode(), tail.stderr.String())
			require.Contains(t, tail.stderr.String(), g.prefix+".predictions/1@")
			one.terminate()
			two.terminate()
			view.terminate()
		})
	}
}
