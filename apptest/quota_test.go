//go:build kafka

package apptest

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// A scorer over a quota of its client id works off a backlog at the quota's rate, in
// transactions that end in time, and says that it is throttled. Nobody starts it
// again.
func TestABacklogUnderAQuotaIsWorkedOffOnKafka(t *testing.T) {
	t.Parallel() // it waits for the quota most of the time
	g := newStage(t, given(t))
	instance := "throttled-" + g.prefix
	g.quota("creditstream-score-"+instance, 100_000)
	g.emit(10_000)
	one := g.scorer(instance)
	g.exact()
	require.False(t, one.hasEnded())
	require.NotEmpty(t, one.says(regexp.MustCompile("Kafka throttles this client.*request=Produce")))
	one.terminate()
}

// Commands that read over a quota of their client id end well, at the quota's rate, and
// say that they are throttled. It is not parallel: the quotas are of every such command.
func TestReadersUnderAQuotaEndOnKafka(t *testing.T) {
	g := newStage(t, given(t))
	g.emit(1000)
	one := g.scorer("one")
	g.exact()
	one.terminate()
	g.quota("creditstream-verify", 30_000)
	g.quota("creditstream-dataset", 30_000)

	verify := start(t, "verify", g.with("verify", "--json", "--group", g.prefix)...)
	export := start(t, "export", g.with("dataset", "export", "--from", "start", "--out", filepath.Join(t.TempDir(), "rows.csv"))...)
	throttled := regexp.MustCompile("Kafka throttles this client.*request=Fetch")
	for _, reader := range []*app{verify, export} {
		reader.wait(3 * time.Minute)
		require.NotEmpty(t, reader.says(throttled))
	}
	var v verdict
	verify.answer(&v)
	require.Equal(t, g.emitted, v.Applications)
	require.Zero(t, v.Lost+v.Duplicated+v.Altered)
	require.NotEmpty(t, export.says(regexp.MustCompile(fmt.Sprintf("(?m)^%d rows written", v.Predictions))))
}

// quota allows a client id so many bytes a second, each way, until the test ends.
func (g *stage) quota(client string, bytesPerSecond float64) {
	adm := kadm.NewClient(newClient(g.t, g.servers))
	set := func(ctx context.Context, remove bool) error {
		entry := kadm.AlterClientQuotaEntry{Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}}}
		for _, key := range []string{"producer_byte_rate", "consumer_byte_rate"} {
			entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: key, Value: bytesPerSecond, Remove: remove})
		}
		altered, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
		if err == nil {
			err = altered[0].Err
		}
		return err
	}
	require.NoError(g.t, set(g.t.Context(), false))
	g.t.Cleanup(func() { require.NoError(g.t, set(context.Background(), true)) })
}
