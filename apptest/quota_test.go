//go:build kafka

package apptest

import (
	"context"
	"regexp"
	"testing"

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
