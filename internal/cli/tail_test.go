package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

func TestALimitedTailShowsTheLastAndEnds(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	on := func(args ...string) (int, string, string) {
		return creditstream(t, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)
	}
	code, _, stderr := on("topics", "apply", "--partitions", "3")
	require.Zero(t, code, stderr)
	client, err := kgo.NewClient(kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t"}.Options()...)
	require.NoError(t, err)
	defer client.Close()
	for i := range 20 {
		p := schemas.Prediction{
			ApplicationID: fmt.Sprintf("A-%02d", i/2), AppliedAt: 1e15, DecidedAt: schemas.Timestamp(1e15 + i), Channel: schemas.ChannelStream,
			Decision: schemas.Refer, Points: int32(500 + i), ModelVersion: "m", Engine: "native", Route: schemas.RouteChampion, RouteRevision: -1, PolicyVersion: "p",
		}
		for k, rule := range schemas.FeatureRules {
			p.Features[k] = max(rule.Min, 0)
		}
		record := &kgo.Record{Topic: schemas.NewTopics("t").Predictions, Key: []byte(p.ApplicationID), Value: schemas.AppendPrediction(nil, &p)}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	points := func(args ...string) (all []int) {
		code, out, stderr := on(append([]string{"tail", "--json"}, args...)...)
		require.Zero(t, code, stderr)
		for line := range strings.Lines(out) {
			var p struct{ Points int }
			require.NoError(t, json.Unmarshal([]byte(line), &p))
			all = append(all, p.Points)
		}
		return all
	}
	require.Equal(t, []int{519}, points("-n", "1"))
	require.Equal(t, []int{516, 517, 518, 519}, points("--limit", "4"))
	require.Equal(t, []int{507}, points("-n", "1", "A-03"))
	require.Equal(t, []int{506}, points("-n", "1", "A-03", "--from", "start"), "the first from there on")
	require.Equal(t, []int{506, 507}, points("A-03"))
	require.Len(t, points("--from", "start"), 20)
	code, _, stderr = on("tail", "-n", "1", "nobody")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the log holds no such prediction of nobody")
	code, _, stderr = on("tail", "-n", "-1")
	require.NotZero(t, code)
	require.Contains(t, stderr, `--limit: "-1": expected a whole number, 0 or more`)
}
