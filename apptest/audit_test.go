package apptest

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// ends runs a command to its end and returns its exit code.
func ends(t *testing.T, args ...string) (code int, a *app) {
	a = start(t, args[0], args...)
	select {
	case <-a.ended:
	case <-time.After(time.Minute):
		require.Fail(t, args[0]+" does not end")
	}
	return a.cmd.ProcessState.ExitCode(), a
}

// One route with a canary and a shadow: its decisions can be taken apart, and it is
// judged by what it decided.
func TestDecisionsAreExplainedAndCandidatesJudged(t *testing.T) {
	long(t)
	t.Parallel()
	s := embedded(t)
	common := []string{"--brokers", s.kafka, "--prefix", "a"}
	with := func(args ...string) []string { return append(args, common...) }
	run(t, with("topics", "apply")...)
	run(t, with("model", "release", "shipped")...)
	run(t, with("model", "release", "../audit/testdata/small.bundle", "--ungated", "a test")...)
	run(t, with("model", "release", bundleFile(t, leaning(t, "leaning", 0.5)), "--ungated", "a test")...)
	var released []struct {
		Version string `json:"version"`
	}
	run(t, with("model", "list", "--json")...).answer(&released)
	shipped, small := released[0].Version, released[1].Version
	run(t, with("model", "route", "--champion", shipped, "--canary", small+"=50%", "--shadow", "leaning", "--why", "a half")...)
	w := watch(t, s, "a")
	service(t, "scorer", with("score")...).ready()
	service(t, "view", with("view", "--redis", s.redis)...).ready()
	run(t, with("produce", "--count", "4000", "--seed", "5", "--rate", "0", "--outcomes-after", "1ms", "--outcomes-for", "approved")...)
	until(t, time.Minute, "all are answered", func() bool { return w.answered() == 4000 })

	// A decision of either model.
	type explanation struct {
		Source       string
		Reproduction struct {
			Result      string
			Differences []struct{ Field string }
		}
		Model struct{ Version string }
		Score struct {
			Probability float64 `json:"default_probability"`
		}
		Policy struct{ Decision string }
		Shadow struct{ Reproduced string }
	}
	seen := map[string]bool{}
	for _, record := range w.predictions() {
		var p struct {
			ID          string  `json:"application_id"`
			Version     string  `json:"model_version"`
			Probability float64 `json:"default_probability"`
			Decision    string  `json:"decision"`
		}
		require.NoError(t, json.Unmarshal(record.value, &p))
		if seen[p.Version] {
			continue
		}
		seen[p.Version] = true
		var e, viewed explanation
		run(t, with("explain", p.ID, "--json")...).answer(&e)
		require.Equal(t, "exact", e.Reproduction.Result)
		require.Equal(t, "exact", e.Shadow.Reproduced)
		require.Equal(t, p.Version, e.Model.Version)
		require.Equal(t, p.Probability, e.Score.Probability)
		require.Equal(t, p.Decision, e.Policy.Decision)
		run(t, with("explain", p.ID, "--json", "--view", "--redis", s.redis)...).answer(&viewed)
		require.Equal(t, e, viewed)
	}
	require.Equal(t, map[string]bool{shipped: true, small: true}, seen)

	// One that was altered is not made again; one that is not there is not found.
	original := onePrediction(t, s, "a.predictions")
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{s.kafka}, config)
	require.NoError(t, err)
	var p map[string]any
	require.NoError(t, json.Unmarshal(original.Value, &p))
	p["application_id"], p["points"] = "altered", p["points"].(float64)+1
	altered, err := json.Marshal(p)
	require.NoError(t, err)
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: original.Topic, Key: sarama.StringEncoder("altered"), Value: sarama.ByteEncoder(altered)})
	require.NoError(t, err)
	require.NoError(t, producer.Close())
	code, a := ends(t, with("explain", "altered", "--json")...)
	require.Equal(t, 1, code)
	var e explanation
	a.answer(&e)
	require.Equal(t, "differs", e.Reproduction.Result)
	require.Equal(t, "points", e.Reproduction.Differences[0].Field)
	code, a = ends(t, with("explain", "nobody")...)
	require.Equal(t, 1, code)
	require.Contains(t, string(a.stderr.bytes()), "holds no decision on nobody")

	verdict := func(args ...string) (code int, says string) {
		code, a := ends(t, with(append([]string{"model", "judge", "--json"}, args...)...)...)
		var out struct{ Verdict string }
		a.answer(&out)
		return code, out.Verdict
	}
	f := func(code int, verdictWanted string, args ...string) {
		t.Helper()
		got, says := verdict(args...)
		require.Equal(t, code, got)
		require.Equal(t, verdictWanted, says)
	}
	f(0, "promote", "--of", "shadow", "--max-flips", "1", "--max-approval-change", "1", "--max-score-psi", "10", "--max-auc-loss", "1")
	f(4, "roll back", "--of", "shadow", "--max-flips", "0.0001")
	f(3, "hold", "--of", "shadow", "--min-n", "100000")
	f(3, "hold", "--min-n", "100000")
	f(4, "roll back", "--max-score-psi", "0.001", "--max-approval-change", "0.0001")

	// What is exported is what was decided.
	file := filepath.Join(t.TempDir(), "export.csv")
	run(t, with("dataset", "export", "--from", "start", "--to", "2100-01-01T00:00:00Z", "--out", file)...)
	compared := run(t, "model", "compare", "shipped", "../audit/testdata/small.bundle", "--csv", file, "--json")
	var c struct {
		N, Labelled, Flips int
		AUC                *struct {
			Difference struct{ Value, Lower, Upper float64 }
		}
	}
	compared.answer(&c)
	require.Equal(t, 4001, c.N)
	require.Positive(t, c.Labelled)
	require.Positive(t, c.Flips)
	require.Less(t, c.AUC.Difference.Lower, c.AUC.Difference.Value)
	require.True(t, strings.HasPrefix(string(bytes.TrimSpace(compared.stdout.bytes())), "{"))
}
