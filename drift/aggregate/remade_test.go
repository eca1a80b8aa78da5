package aggregate

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
)

func (w *world) predictionsLog() Log {
	log, err := logOf(w.t.Context(), kadm.NewClient(w.client), w.config.Topics.Predictions)
	require.NoError(w.t, err)
	return log
}

// remake deletes the topic of predictions and makes it again. The view has read nothing
// of the new one yet.
func (w *world) remake() (made Log) {
	adm, topic, old := kadm.NewClient(w.client), w.config.Topics.Predictions, w.predictionsLog()
	w.decisions.with(func(d *decisions) { d.log = old })
	_, err := adm.DeleteTopic(w.t.Context(), topic)
	require.NoError(w.t, err)
	_, err = kafka.CreateTopics(w.t.Context(), adm, []kafka.TopicSpec{{Name: topic, Partitions: partitions, Replication: 1}})
	require.NoError(w.t, err)
	w.client.PurgeTopicsFromProducing(topic)
	made = w.predictionsLog()
	require.NotEqual(w.t, old, made)
	return made
}

// The log of predictions is deleted and made again while outcomes wait for decisions of
// the old one: they wait for what the new one holds, and no longer for what can never
// come. What was known of the old log is matched, the rest is not.
func TestOutcomes_WaitForTheLogThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.emit(20)
	w.catchUp(0)
	w.emit(20) // not known yet, and never to be
	c := w.config
	c.Registerer = prometheus.NewRegistry()
	a, err := New(c)
	require.NoError(t, err)
	client, err := kgo.NewClient(w.config.Kafka.Options()...)
	require.NoError(t, err)
	defer client.Close()
	type result struct {
		answers []counting.Claimed
		err     error
	}
	done := make(chan result, 1)
	go func() {
		answers, err := (&joiner{a, client}).join(t.Context(), []counting.Claim{{ApplicationID: "A-000005", Outcome: "o1"}, {ApplicationID: "A-000025", Outcome: "o2"}})
		done <- result{answers, err}
	}()
	require.Eventually(t, func() bool { return errors.Is(a.Pending(), errBehind) }, patience, tick)
	// The first look at where the new log ends fails.
	w.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		return local.Refusal(request, kerr.InvalidRequest.Code), nil, true
	})
	made := w.remake()
	require.Eventually(t, func() (asked bool) {
		w.decisions.with(func(d *decisions) { asked = d.asked[made] })
		return asked
	}, patience, tick, "the old log is waited for")
	w.decisions.with(func(d *decisions) { require.Empty(t, d.claims, "nothing is joined before the view has begun with it") })
	w.emit(20)
	w.catchUp(40)
	w.decisions.with(func(d *decisions) { d.log = made })
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, []counting.ClaimState{counting.Matched, counting.Unknown}, []counting.ClaimState{r.answers[0].State, r.answers[1].State})
}
