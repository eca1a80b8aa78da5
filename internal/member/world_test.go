package member

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

// world is an embedded broker with topic "in" and group "g", which begins at its start.
type world struct {
	t      *testing.T
	broker *local.Kafka
	config kafka.Config
	client *kgo.Client
	admin  *kadm.Client
}

func newWorld(t *testing.T, partitions int32) *world {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	w := &world{t: t, broker: broker, config: kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}}
	w.client = w.connect()
	w.admin = kadm.NewClient(w.client)
	_, err = w.admin.CreateTopic(t.Context(), partitions, 1, nil, "in")
	require.NoError(t, err)
	var begin kadm.Offsets
	for p := range partitions {
		begin.AddOffset("in", p, 0, -1)
	}
	require.NoError(t, w.admin.CommitAllOffsets(t.Context(), "g", begin))
	return w
}

func (w *world) connect(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(append(w.config.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner())), options...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) produce(ctx context.Context, records ...*kgo.Record) {
	require.NoError(w.t, w.client.ProduceSync(ctx, records...).FirstErr())
}

// committed is up to where a partition is answered.
func (w *world) committed(partition int32) int64 {
	offsets, err := w.admin.FetchOffsets(w.t.Context(), "g")
	require.NoError(w.t, err)
	at, _ := offsets.Lookup("in", partition)
	return at.At
}

// member is one that is not running yet.
func (w *world) member(id string, change ...func(*Config)) *Member {
	gauge := func(name string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"partition"})
	}
	c := Config{
		Kafka: w.config, Group: "g", ID: id, Topic: "in", Protocol: ProtocolClassic, Log: slog.New(slog.DiscardHandler),
		Reach: NewReach(ReachConfig{
			Group: "g", Topic: "in", Log: slog.New(slog.DiscardHandler), Skips: 3,
			Lag: gauge("a"), Unreachable: gauge("b"), Unreadable: gauge("c"), Removed: gauge("d"),
		}),
		Resolve: func(context.Context, error) error { return nil },
	}
	for _, f := range change {
		f(&c)
	}
	return New(c)
}
