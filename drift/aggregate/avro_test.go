package aggregate

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/schemas/wire"
)

// silent is a registry that knows no schema, and is silent while it is away.
type silent struct{ away atomic.Bool }

func (s *silent) Schema(context.Context, uint32) (string, bool, error) {
	if s.away.Load() {
		return "", false, errors.New("connection refused")
	}
	return "", false, nil
}

func (s *silent) Register(context.Context, string, string) (uint32, error) {
	return 0, errors.New("not to be asked")
}

// While the registry is silent, both sessions name the record that they wait at.
func TestSilentRegistry_IsNamedWithTheRecordThatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	registry := &silent{}
	registry.away.Store(true)
	w.config.Codec = wire.New(wire.Config{Registry: registry})
	waits := func(topic string) func() bool {
		return func() bool {
			err := w.config.Codec.Ready()
			return err != nil && strings.Contains(err.Error(), topic+"/1/0 waits for Avro schema id 9: connection refused")
		}
	}
	foreign := func(topic string) {
		require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte{0, 0, 0, 0, 9, 1}}).FirstErr())
	}
	foreign(w.config.Topics.Outcomes)
	a, stop := w.start("one")
	require.Eventually(t, waits(w.config.Topics.Outcomes), patience, tick)
	registry.away.Store(false)
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(a.metrics.malformed.WithLabelValues(w.config.Topics.Outcomes)) == 1
	}, patience, tick)

	registry.away.Store(true)
	foreign(w.config.Topics.Predictions)
	require.Eventually(t, waits(w.config.Topics.Predictions), patience, tick)
	registry.away.Store(false)
	w.malformed++
	w.emit(40)
	w.exact()
	require.NoError(t, w.config.Codec.Ready())
	require.NoError(t, stop())
}
