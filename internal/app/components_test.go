package app

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/api"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/redisconn"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
)

// Whoever drains, fails or is unready is known by its name alone: no two parts of a
// process have the same, and what several components need is there once.
func TestServices_NoTwoPartsHaveOneName(t *testing.T) {
	s := New(Config{
		Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}, Prefix: "t", ClientID: "test"}, Instance: "one", Alone: true,
		Models: Models{Engine: model.EngineNative, Bundle: shipped.Bundle}, Log: slog.New(slog.DiscardHandler),
	})
	defer s.Close()
	redis := redisconn.Config{Address: redisconn.Address{Servers: []string{"127.0.0.1:1"}}}
	as := Member{Sessions: 2, Protocol: member.ProtocolClassic}
	_, err := s.AddScorer(Scorer{Member: as})
	require.NoError(t, err)
	_, err = s.AddView(View{Redis: redis, Lifetimes: view.Lifetimes{Prediction: time.Hour, Decided: time.Hour}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.AddAPI(API{Listener: l, Redis: redis, Feed: true, Limits: api.Limits{InFlight: 8, Publish: time.Second}}))
	windows, err := judging.ParseWindows("1000")
	require.NoError(t, err)
	require.NoError(t, s.AddDrift(Drift{Member: as, Redis: redis, Bucket: time.Minute, Evaluator: Evaluator{Settings: judging.Settings{Windows: windows}}}))
	names := map[string]bool{}
	for _, part := range s.all {
		require.False(t, names[part.Name()], "two are called %s", part.Name())
		names[part.Name()] = true
	}
	require.True(t, names["cluster"])
	require.Len(t, s.reports, 4)
	for _, r := range s.reports {
		if err := r.Ready(); r.Name == APIName || r.Name == DriftName {
			require.ErrorContains(t, err, "which cluster it belongs to", r.Name)
		} else {
			require.NotContains(t, err.Error(), "which cluster it belongs to", r.Name)
		}
	}
}
