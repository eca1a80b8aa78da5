package member

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/kafkatest"
	"github.com/creditstream/creditstream/internal/local"
)

// What claims the offsets of others is neither answered nor passed over where the look at
// it fails at first, nor where it comes while a transaction goes on.
func TestMember_AnswersNothingThatItCouldNotLookAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		more  bool  // it comes within a transaction
		fails int64 // looks
	}{
		{"the look fails", false, 3},
		{"in a transaction", true, 0},
		{"the look fails in a transaction", true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const batch = 5
			dir := t.TempDir()
			broker, err := local.StartKafka(dir)
			require.NoError(t, err)
			defer broker.Close()
			config := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "test", Log: slog.New(slog.DiscardHandler)}
			client, err := kgo.NewClient(append(config.Options(), kgo.ProducerLinger(100*time.Millisecond))...)
			require.NoError(t, err)
			defer client.Close()
			adm := kadm.NewClient(client)
			_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "in")
			require.NoError(t, err)
			for first := 0; first < 3*batch; first += batch {
				var records []*kgo.Record
				for i := range batch {
					records = append(records, &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(first + i))})
				}
				require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
			}
			require.NoError(t, kafkatest.Move(dir, "in", 0, batch, 1)) // 5 becomes 7
			var begin kadm.Offsets
			begin.AddOffset("in", 0, 0, -1)
			require.NoError(t, adm.CommitAllOffsets(t.Context(), "g", begin))
			var looks atomic.Int64
			broker.Cluster().ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
				broker.Cluster().KeepControl()
				if request.(*kmsg.FetchRequest).MaxBytes != 4<<20 || looks.Add(1) > c.fails { // a look: a member waits as long
					return nil, nil, false
				}
				return local.Refusal(request, kerr.NotLeaderForPartition.Code), nil, true
			})

			gauge := func(name string) *prometheus.GaugeVec {
				return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"partition"})
			}
			var log capture.Output
			reach := NewReach(ReachConfig{
				Group: "g", Topic: "in", Log: slog.New(slog.DiscardHandler), Retry: time.Millisecond,
				Lag: gauge("a"), Unreachable: gauge("b"), Unreadable: gauge("c"), Removed: gauge("d"),
			})
			m := New(Config{
				Kafka: config, Group: "g", ID: "one", Topic: "in", Protocol: ProtocolClassic, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Reach: reach, Resolve: func(context.Context, error) error { return nil },
			})
			var answered []string
			answer := func(fetches kgo.Fetches) {
				fetches.EachRecord(func(r *kgo.Record) { answered = append(answered, string(r.Value)) })
			}
			turn := func(ctx context.Context, sess *kgo.GroupTransactSession) (committed bool, err error) {
				fetches, err := m.Poll(ctx, sess, batch)
				if err != nil || fetches.NumRecords() == 0 {
					return false, err
				}
				committed, _, err = m.Commit(ctx, sess, time.Now, func(ctx context.Context, _ func() func(*kgo.Record, error)) error {
					answer(fetches)
					if !c.more {
						return nil
					}
					more, err := m.More(ctx, sess, 3*batch)
					answer(more)
					return err
				})
				return committed, err
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- m.Run(ctx, turn) }()
			require.Eventually(t, func() bool { return strings.Contains(reach.Stopped(), "in/0 cannot be read at offset 5") }, time.Minute, time.Millisecond)
			cancel()
			require.NoError(t, <-done)
			require.Equal(t, []string{"0", "1", "2", "3", "4"}, answered)
			offsets, err := adm.FetchOffsets(t.Context(), "g")
			require.NoError(t, err)
			at, _ := offsets.Lookup("in", 0)
			require.EqualValues(t, batch, at.At)
			require.Greater(t, looks.Load(), c.fails)
			require.Equal(t, c.fails > 0, strings.Contains(log.String(), "cannot look why offsets are left out"))
		})
	}
}
