package schemas

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// onlyDecision is a prediction as DecodeDecision leaves it.
func onlyDecision(p Prediction) Prediction {
	return Prediction{
		DecidedAt: p.DecidedAt, Channel: p.Channel, DefaultProbability: p.DefaultProbability, DefaultPrediction: p.DefaultPrediction,
		Decision: p.Decision, ModelVersion: p.ModelVersion, Route: p.Route, Shadow: p.Shadow, Features: p.Features,
	}
}

// What is valid reads the same both ways; what DecodeDecision refuses is refused.
func FuzzDecodeDecision(f *testing.F) {
	f.Add([]byte(contractPrediction))
	f.Add([]byte(strings.Replace(contractPrediction, `"points":530`, `"points":"none"`, 1)))
	f.Add([]byte(strings.Replace(contractPrediction, `"shadow"`, `"extra"`, 1)))
	f.Fuzz(func(t *testing.T, value []byte) {
		var whole, decision Prediction
		err, decisionErr := DecodePrediction(value, &whole), DecodeDecision(value, &decision)
		if decisionErr != nil {
			require.Error(t, err)
			return
		}
		if err == nil {
			require.Equal(t, onlyDecision(whole), decision)
		}
	})
}

func TestADecisionIsReadLikeTheWholePrediction(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var decision Prediction // the same again and again, as whoever counts does
	for range 4000 {
		value := AppendPrediction(nil, anyPrediction(r, true))
		var whole Prediction
		require.NoError(t, DecodePrediction(value, &whole))
		require.NoError(t, DecodeDecision(value, &decision))
		require.Equal(t, onlyDecision(whole), decision)
	}
}

func TestADecisionRefuses(t *testing.T) {
	f := func(old, with, says string) {
		t.Helper()
		require.Contains(t, contractPrediction, old)
		var p Prediction
		require.ErrorContains(t, DecodeDecision([]byte(strings.Replace(contractPrediction, old, with, 1)), &p), says)
	}
	f(`"stream"`, `"mail"`, "channel")
	f(`0.18342`, `1.1`, "default_probability 1.1")
	f(`"age":34`, `"age":340`, "features.age 340")
	f(`"points":530,`, ``, "points: is required")
	f(`"points":530`, `"points":}`, "byte")
	f(`"points":530`, `"route":"champion"`, "route")
}

func TestADecisionTakesNoMemory(t *testing.T) {
	var p Prediction
	value := []byte(contractPrediction)
	require.NoError(t, DecodeDecision(value, &p))
	// The shadow is handed from one to the next.
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = DecodeDecision(value, &p) }))
}

func BenchmarkDecisionDecode(b *testing.B) {
	_, text := timedPrediction(b)
	b.ReportAllocs()
	var p Prediction
	for b.Loop() {
		if err := DecodeDecision(text, &p); err != nil {
			b.Fatal(err)
		}
	}
}
