package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

// fakeReplicas are those a test says there are.
type fakeReplicas struct {
	all []replica.Summary
	err error
}

func (f *fakeReplicas) Replicas() ([]replica.Summary, error) { return f.all, f.err }

func TestReplicasAreShown(t *testing.T) {
	t.Parallel()
	p50, lag := 12.5, int64(7)
	known := &fakeReplicas{all: []replica.Summary{
		{
			Component: "score", Instance: "one", Live: true, Ready: true, P50: &p50, P99: &p50, Lag: &lag, PerSecond: 3.5,
			Models: &schemas.ReplicaModels{RouteRevision: 3, NewestRevision: 4, Champion: "v1", Refused: []schemas.Refusal{{ModelVersion: "v2", Reason: "checksum error"}}},
		},
		{Component: "view", Instance: "a", Reason: "it was killed"},
	}}
	w := newWorld(t, func(c *Config) { c.Replicas = known })
	rec := w.get("/replicas")
	require.Equal(t, http.StatusOK, rec.Code)
	var d struct{ Replicas []replica.Summary }
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &d))
	require.Equal(t, known.all, d.Replicas)
	known.all = []replica.Summary{}
	require.JSONEq(t, `{"replicas":[]}`, w.get("/replicas").Body.String())

	known.err = errors.New("dial tcp 10.1.2.3:9092: connection refused")
	p := w.problem(w.get("/replicas"), http.StatusServiceUnavailable, "no-replicas")
	require.NotContains(t, p.Title+p.Detail, "10.1.2.3", "inner addresses are nobody's business")
}

// taken is what a test was told of latencies.
type taken struct{ n int }

func (l *taken) Observe(took time.Duration, n int) { l.n += n }

func TestOnlyDecisionsAreTimed(t *testing.T) {
	t.Parallel()
	l := &taken{}
	w := newWorld(t, func(c *Config) { c.Latencies = l })
	w.get("/model")
	w.post("/predict", `{}`)
	require.Zero(t, l.n)
	w.answer(w.post("/predict", request(example)))
	require.Equal(t, http.StatusOK, w.post("/predict/batch", `{"applications":[`+request(example)+`]}`).Code)
	require.Equal(t, 2, l.n)
}
