package view

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/internal/registry/registrytest"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Redis always holds JSON; while a schema cannot be had, the view waits.
func TestPredictionsInAvroAreShownAsJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := srfake.New()
	t.Cleanup(fake.Close)
	var away atomic.Bool
	fake.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		if away.Load() {
			http.Error(rw, "away", http.StatusServiceUnavailable)
		}
		return away.Load()
	})
	id, _, err := fake.RegisterSchema("any", sr.Schema{Schema: schemas.AvroSchema(schemas.EventPrediction), Type: sr.TypeAvro})
	require.NoError(t, err)
	avro := func(from, to, pass int) {
		for i := from; i < to; i++ {
			var p schemas.Prediction
			text := w.predict(i, pass)
			require.NoError(t, schemas.DecodePrediction(text, &p))
			value := schemas.AppendAvroPrediction(schemas.AppendAvroHeader(nil, uint32(id)), &p)
			require.NoError(t, w.client.ProduceSync(t.Context(), w.record(partitionOf(i), i, value)).FirstErr())
			w.last[p.ApplicationID] = string(text)
		}
	}
	codec := func() *wire.Codec {
		client, err := registry.New(registry.Config{URL: fake.URL()})
		require.NoError(t, err)
		return wire.New(wire.Config{Registry: client})
	}
	away.Store(true)
	w.emit(0, 40, 1)
	avro(20, 60, 2)
	w.emit(50, 80, 3)
	w.config.Codec = codec()
	v, stop := w.start()
	require.Eventually(t, func() bool { return w.config.Codec.Ready() != nil }, patience, tick)
	require.ErrorContains(t, w.config.Codec.Ready(), w.config.Topics.Predictions+"/", "it names where it waits")
	require.ErrorContains(t, w.config.Codec.Ready(), fmt.Sprintf(" waits for Avro schema id %d: ", id))
	require.Error(t, v.Ready())
	stop() // while it waits
	v, _ = w.start()
	away.Store(false)
	w.same()
	w.ready(v)
	require.NoError(t, w.config.Codec.Ready())

	require.NoError(t, w.rdb.FlushAll(t.Context()).Err())
	w.config.Codec = codec()
	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	w.same()

}

// A view leaves out what names a schema that the registry refuses; a rebuild, which
// would remove it, takes a word for that.
func TestRefusedSchema_EndsARebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := srfake.New()
	defer fake.Close()
	registrytest.Refuse(fake, &atomic.Bool{})
	client, err := registry.New(registry.Config{URL: fake.URL()})
	require.NoError(t, err)
	w.config.Codec = wire.New(wire.Config{Registry: client, Doubt: time.Millisecond})
	w.emit(0, 20, 1)
	const storeFailed = registrytest.FirstRefused + 3
	value := append(schemas.AppendAvroHeader(nil, storeFailed), 1, 2, 3)
	require.NoError(t, w.client.ProduceSync(t.Context(), w.record(1, 5, value)).FirstErr())
	w.emit(20, 40, 2)
	v, stop := w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, 1, testutil.ToFloat64(v.metrics.undecodable), 0)
	stop()

	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.ErrorContains(t, err, "the schema registry does not give it: HTTP 500: store failed")
	w.config.SkipAvro = true
	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	w.same()
}

// A foreign record on the topic, such as one in Avro where there is no registry, ends
// no view: it is left out, counted and told of. A rebuild removes what it leaves out,
// so there it takes a word.
func TestForeignRecord_IsLeftOutByTheView(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log capture.Output
	w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.emit(0, 20, 1)
	for _, value := range [][]byte{{0, 0, 0, 0, 1, 2, 3}, {0, 0, 0, 0, 1}, {0}, []byte("hello"), nil} {
		require.NoError(t, w.client.ProduceSync(t.Context(), w.record(1, 5, value)).FirstErr())
	}
	w.emit(20, 40, 2)
	v, stop := w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, 5, testutil.ToFloat64(v.metrics.undecodable), 0)
	stop()
	require.Equal(t, 1, strings.Count(log.String(), "set --schema-registry"))

	_, err := Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.ErrorIs(t, err, wire.ErrNoRegistry)
	w.config.SkipAvro = true
	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	w.same()
}

// A batch that cannot be read is left out, too, after some tries, and counted by its
// offsets, whether its records, its length or the offsets it claims are wrong.
func TestUnreadableBatch_IsLeftOutByTheView(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		damage  kafkatest.Damage
		records int // in the batch
	}{
		{"records", kafkatest.Records, 2}, {"length", kafkatest.Length, 2},
		{"format 3", kafkatest.Format(3), 2}, {"format 9 of one record", kafkatest.Format(9), 1}, {"format 0", kafkatest.Format(0), 2},
		// The first offset is 5, 0b101.
		{"offset, bit 0", kafkatest.Moved(0), 2}, {"offset, bit 1", kafkatest.Moved(1), 2}, {"offset, bit 2", kafkatest.Moved(2), 2},
		{"offset, bit 3", kafkatest.Moved(3), 2}, {"offset, bit 40", kafkatest.Moved(40), 2}, {"offset, bit 63", kafkatest.Moved(63), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorldIn(t, dir)
			w.emit(0, 20, 1)
			behind := 20 + partitions*c.records
			w.emit(20, behind, 1)
			w.emit(behind, 60, 1)
			require.NoError(t, c.damage(dir, w.config.Topics.Predictions, 3, 5))
			for i := 20; i < behind; i++ {
				if partitionOf(i) == 3 {
					delete(w.last, id(i))
				}
			}
			w.config.retry, w.config.ends = tick, tick
			v, stop := w.start()
			w.same()
			w.ready(v)
			require.InDelta(t, c.records, testutil.ToFloat64(v.metrics.unreadable), 0)
			stop()
			_, err := Rebuild(t.Context(), w.config, &interrupt{when: "never"})
			require.NoError(t, err)
			w.same()
		})
	}
}

// A batch that claims other offsets is counted also where the broker, once it is asked
// again, gives what lies behind it: an embedded one that has read its logs again does.
func TestUnreadableBatch_IsCountedWhereTheBrokerPassesOverIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	for i := range 25 { // a batch each
		w.emit(partitions*i, partitions*(i+1), 1)
	}
	w.broker.Close()
	require.NoError(t, kafkatest.Move(dir, w.config.Topics.Predictions, 3, 12, 3)) // 12 becomes 4
	again, err := local.StartKafka(dir)
	require.NoError(t, err)
	t.Cleanup(again.Close)
	w.config.Kafka.Brokers = []string{again.Addr()}
	delete(w.last, id(12*partitions+3))
	w.config.retry, w.config.ends = tick, tick
	v, stop := w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, 1, testutil.ToFloat64(v.metrics.unreadable), 0)
	stop()
}

// A broker that fails at a damaged batch, which it shows, is waited for no longer than one
// that calls it damaged.
func TestFailingBroker_IsNotWaitedForAtADamagedBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.emit(0, 20, 1)
	w.emit(20, 28, 1) // offsets 5 and 6 of each partition
	w.emit(28, 60, 1)
	require.NoError(t, kafkatest.Format(0)(dir, w.config.Topics.Predictions, 3, 5))
	for i := 23; i < 28; i += partitions {
		delete(w.last, id(i))
	}
	failed := kafkatest.Fail(w.broker.Cluster(), 3, func(at int64) bool { return at > 0 && at < 7 })
	w.config.retry, w.config.ends = 10*tick, tick
	v, stop := w.start()
	w.same()
	w.ready(v)
	require.InDelta(t, 2, testutil.ToFloat64(v.metrics.unreadable), 0)
	require.Positive(t, failed.Load())
	stop()
	_, err := Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	w.same()
}

// A broker that fails and does not say why says nothing of the log: however long that
// takes nothing is left out for it, even where it names the end of the log with it. The
// view is unready meanwhile and names where; a rebuild waits.
func TestFailingBroker_LeavesNothingOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(0, 40, 1)
	var left atomic.Int64
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		refused := local.Refusal(request, kerr.UnknownServerError.Code).(*kmsg.FetchResponse)
		for _, topic := range refused.Topics {
			for i := range topic.Partitions {
				topic.Partitions[i].HighWatermark, topic.Partitions[i].LastStableOffset = 1000, 1000
			}
		}
		return refused, nil, true
	})
	left.Store(1 << 40)
	w.config.retry = tick
	v, stop := w.start()
	require.Eventually(t, func() bool {
		err := v.Ready()
		return err != nil && strings.Contains(err.Error(), "predictions/1 cannot be read at offset 0: UNKNOWN_SERVER_ERROR")
	}, patience, tick)
	const fails = 10 * partitions // many more than a damaged batch is tried
	left.Store(fails)
	require.Eventually(t, func() bool { return left.Load() <= 0 }, patience, tick)
	w.same()
	w.ready(v)
	left.Store(fails)
	require.Eventually(t, func() bool { return left.Load() <= 0 }, patience, tick)
	w.ready(v) // nothing more comes that would say that it passed
	require.Zero(t, testutil.ToFloat64(v.metrics.unreadable))
	stop()

	left.Store(4)
	_, err := Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.NoError(t, err)
	require.LessOrEqual(t, left.Load(), int64(0))
	w.same()
}
