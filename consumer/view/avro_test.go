package view

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Redis always holds JSON; while a schema cannot be had, the view waits.
func TestPredictionsInAvroAreShownAsJSON(t *testing.T) {
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

	// Without a registry nothing is left out in silence.
	w.config.Codec = nil
	require.NoError(t, w.rdb.FlushAll(t.Context()).Err())
	c := w.configured()
	c.Group = member.Names{Group: "other"}
	v, err = New(c)
	require.NoError(t, err)
	require.ErrorContains(t, v.Run(t.Context()), "set --schema-registry")
	_, err = Rebuild(t.Context(), w.config, &interrupt{when: "never"})
	require.ErrorIs(t, err, wire.ErrNoRegistry)
}
