package apptest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// follow hands the committed records of a topic's one partition to see, from the
// beginning and as they come, with a client that has nothing in common with the
// product's.
func follow(t *testing.T, s servers, topic string, see func(*sarama.ConsumerMessage)) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer(strings.Split(s.kafka, ","), config)
	require.NoError(t, err)
	reader, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	require.NoError(t, err)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m := range reader.Messages() {
			see(m)
		}
	})
	t.Cleanup(func() {
		_ = reader.Close() // was only read from
		reading.Wait()
		_ = consumer.Close()
	})
}

// told is an alert as it was told.
type told struct {
	Alert string    `json:"alert"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
}

// alertsTold are the alerts on their topic, in its order.
type alertsTold struct {
	mu     sync.Mutex
	all    []told // guarded by mu
	failed error  // guarded by mu
	ended  bool   // guarded by mu: the sentinel was read
}

func watchAlerts(t *testing.T, s servers, prefix string) *alertsTold {
	seen := &alertsTold{}
	follow(t, s, prefix+".drift.alerts", func(m *sarama.ConsumerMessage) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		if string(m.Key) == sentinel {
			seen.ended = true
			return
		}
		var a told
		if err := json.Unmarshal(m.Value, &a); err != nil && seen.failed == nil {
			seen.failed = fmt.Errorf("%s: %w", m.Value, err)
		}
		seen.all = append(seen.all, a)
	})
	return seen
}

// count is how many alerts came into a state.
func (a *alertsTold) count(state string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.all {
		if t.State == state {
			n++
		}
	}
	return n
}

// over says whether each of these fired and was taken back.
func (a *alertsTold) over(names []string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := map[string]string{}
	for _, t := range a.all {
		last[t.Alert] = t.State
	}
	return !slices.ContainsFunc(names, func(name string) bool { return last[name] != "resolved" })
}

// areTold requires, once nobody writes any more, that each alert was told firing,
// resolved, firing … and none of it twice. It returns how each was told last.
func (a *alertsTold) areTold(t *testing.T, client *kgo.Client, prefix string) map[string]told {
	end := &kgo.Record{Topic: prefix + ".drift.alerts", Key: []byte(sentinel), Value: []byte("{}")}
	require.NoError(t, client.ProduceSync(t.Context(), end).FirstErr())
	until(t, time.Minute, "every alert is read", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.ended
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	require.NoError(t, a.failed)
	last := map[string]told{}
	for _, alert := range a.all {
		want := "firing"
		if last[alert.Alert].State == want {
			want = "resolved"
		}
		require.Equal(t, want, alert.State, "%s was told %v", alert.Alert, a.all)
		last[alert.Alert] = alert
	}
	return last
}

// mostResolved is how many alerts that are over a status shows at most.
const mostResolved = 20

// toldOnce lets alerts fire and resolve while whoever judges is killed as soon as it
// has told something, and in between.
//
// settled: only members of their groups are killed. The embedded broker forgets to
// time out one that dies while it waits to be let in, and may give it the panes
// (docs/decisions/0008); Kafka does not.
func toldOnce(t *testing.T, s servers, settled bool) {
	c := newCounting(t, s)
	alerts, client := watchAlerts(t, s, c.prefix), newClient(t, s)
	begin := func() (both [2]*app) {
		for i, instance := range []string{"one", "two"} {
			both[i] = c.replica(instance, "--bucket", "1s", "--block-time", "1s", "--min-firing", "1s", "--windows", "1000,10000")
		}
		return both
	}
	both := begin()
	killed := func() {
		for _, r := range both {
			if settled {
				r.ready()
			}
		}
		for _, r := range both {
			r.kill()
		}
		both = begin()
	}
	// Without an end: what is counted in one go, after a kill, is one block.
	emit := func(scenario string) *app {
		return start(t, "produce", c.with("produce", "--json", "--rate", "1000", "--seed", "7", "--id-prefix", c.prefix+scenario+"-",
			"--scenario", scenario, "--scenario-after", "0", "--scenario-ramp", "1")...)
	}
	seen := func(what string, condition func() bool) { until(t, 2*time.Minute, what, condition) }
	reaches := func(want int) {
		seen(fmt.Sprint(want, " decisions are counted"), func() bool { decisions, _ := c.seen.counted(); return decisions >= want })
	}

	emitted := 0
	stop := func(p *app) {
		p.terminate()
		var summary struct {
			Produced int `json:"produced"`
		}
		p.answer(&summary)
		emitted += summary.Produced
	}

	for _, r := range both {
		r.ready()
	}
	p := emit("recession")
	seen("alerts fire", func() bool { return alerts.count("firing") > 0 })
	killed()
	stop(p)
	reaches(emitted)
	p = emit("steady")
	reaches(emitted + 2000)
	killed()
	seen("alerts are over", func() bool { return alerts.count("resolved") > 0 })
	killed()
	payments := strings.Fields("drift/pay_0 drift/pay_2 drift/pay_3 drift/pay_4 drift/pay_5 drift/pay_6")
	seen("the alerts on payments are over", func() bool { return alerts.over(payments) })
	stop(p)
	var status struct {
		Decisions int    `json:"decisions"`
		Alerts    []told `json:"alerts"`
	}
	seen("everything is judged", func() bool {
		status.Alerts = nil
		run(t, c.with("drift", "status", "--json")...).answer(&status)
		return status.Decisions >= emitted
	})
	for _, r := range both {
		r.ready()
		r.terminate()
	}
	status.Alerts = nil
	run(t, c.with("drift", "status", "--json")...).answer(&status)
	require.Equal(t, emitted, status.Decisions)

	last := alerts.areTold(t, client, c.prefix)
	resolved := 0
	for _, a := range status.Alerts {
		require.Equal(t, last[a.Alert], a, "the status says what was told")
		delete(last, a.Alert)
		if a.State == "resolved" {
			resolved++
		}
	}
	for name, a := range last {
		require.True(t, a.State == "resolved" && resolved == mostResolved, "the status has forgotten %s, %s", name, a.State)
	}
}

func TestAlertsAreToldOnceOnTheEmbeddedBroker(t *testing.T) {
	long(t)
	t.Parallel()
	toldOnce(t, embedded(t), true)
}
