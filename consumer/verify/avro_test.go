package verify

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/creditstream/creditstream/internal/registry"
	"github.com/creditstream/creditstream/internal/registry/registrytest"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/schemas/wire"
)

// An application in one format may be answered in the other.
func TestBothFormatsAreJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := srfake.New()
	defer fake.Close()
	var ids [schemas.NumEvents]uint32
	for e := range schemas.NumEvents {
		id, _, err := fake.RegisterSchema(e.String(), sr.Schema{Schema: schemas.AvroSchema(e), Type: sr.TypeAvro})
		require.NoError(t, err)
		ids[e] = uint32(id)
	}
	client, err := registry.New(registry.Config{URL: fake.URL()})
	require.NoError(t, err)
	w.config.Codec = wire.New(wire.Config{Registry: client})

	const n = 600
	var applications []*kgo.Record
	for i := range n {
		r := w.application(i)
		var a schemas.Application
		if i%2 == 0 && schemas.DecodeApplication(r.Value, &a) == nil {
			r.Value = schemas.AppendAvroApplication(schemas.AppendAvroHeader(nil, ids[schemas.EventApplication]), &a)
		} else if i%10 == 9 && i%20 == 9 {
			r.Value = append(schemas.AppendAvroHeader(nil, 4711), 1, 2, 3) // nobody knows that schema
		}
		applications = append(applications, r)
	}
	w.write(w.client, applications...)
	answers := func(change func(i int, p *schemas.Prediction)) (all []*kgo.Record) {
		for i, r := range applications {
			answer := w.answer(i, r)
			var p schemas.Prediction
			if i%3 == 0 && schemas.DecodePrediction(answer.Value, &p) == nil {
				change(i, &p)
				answer.Value = schemas.AppendAvroPrediction(schemas.AppendAvroHeader(nil, ids[schemas.EventPrediction]), &p)
			}
			all = append(all, answer)
		}
		return all
	}
	w.transaction(kgo.TryCommit, answers(func(i int, p *schemas.Prediction) {
		if i == 300 {
			p.Features[6]++
		}
	})...)
	w.commit(0)
	report := w.judge()
	require.Equal(t, Report{Applications: n, Predictions: n - n/10, DeadLetters: n / 10, Altered: 1}, counts(report))
	require.Contains(t, report.Examples[0].Why, "what was applied for differs")

	// Without a registry what is in Avro is not judged.
	w.config.Codec = nil
	report = w.judge()
	require.EqualValues(t, (n-n/10)/3, report.Unreadable)
	require.Contains(t, report.NotJudged(false), "--schema-registry")
}

// A prediction whose schema the registry refuses is not judged: nobody says that it was
// altered.
func TestRefusedSchema_OfAPredictionIsNotJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fake := srfake.New()
	defer fake.Close()
	registrytest.Refuse(fake, &atomic.Bool{})
	id, _, err := fake.RegisterSchema("any-value", sr.Schema{Schema: schemas.AvroSchema(schemas.EventPrediction), Type: sr.TypeAvro})
	require.NoError(t, err)
	client, err := registry.New(registry.Config{URL: fake.URL()})
	require.NoError(t, err)
	w.config.Codec = wire.New(wire.Config{Registry: client, Doubt: time.Millisecond})
	var applications, answers []*kgo.Record
	for i := range 8 {
		applications = append(applications, w.application(i))
	}
	w.write(w.client, applications...)
	for i, r := range applications {
		answer := w.answer(i, r)
		var p schemas.Prediction
		require.NoError(t, schemas.DecodePrediction(answer.Value, &p))
		as := uint32(id)
		if i == 5 {
			as = registrytest.FirstRefused // 403
		}
		answer.Value = schemas.AppendAvroPrediction(schemas.AppendAvroHeader(nil, as), &p)
		answers = append(answers, answer)
	}
	w.transaction(kgo.TryCommit, answers...)
	w.commit(0)
	report := w.judge()
	require.Zero(t, report.Altered)
	require.Zero(t, report.Lost)
	require.EqualValues(t, 1, report.Unreadable)
	require.Contains(t, report.Examples[0].Why, "HTTP 403: denied by policy")
}
