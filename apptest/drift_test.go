package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tally is what panes count, summed over all of them but kept by what must not be
// mixed.
type tally struct {
	Decisions, Malformed                int
	Read, Matched, Unmatched, Duplicate int
	Buckets                             map[string]int // decisions by minute
	Versions                            map[string]int // by version, route, channel and decision
	Groups                              map[string]int // by attribute, group and decision
	Scores                              map[int]int
	Missing                             []int // by feature
}

// pane is what the contract of panes says, as far as it is judged.
type pane struct {
	Topic     string    `json:"topic"`
	Bucket    time.Time `json:"bucket"`
	Decisions int       `json:"decisions"`
	Malformed int       `json:"malformed"`
	Features  []struct {
		Bins    []int `json:"bins"`
		Missing int   `json:"missing"`
	} `json:"features"`
	Groups []struct {
		Attribute string `json:"attribute"`
		Group     string `json:"group"`
		paneDecided
	} `json:"groups"`
	Versions []struct {
		Version string `json:"model_version"`
		Route   string `json:"route"`
		Channel string `json:"channel"`
		paneDecided
		Scores map[int]int `json:"scores"`
	} `json:"versions"`
	Read      int `json:"read"`
	Matched   int `json:"matched"`
	Unmatched int `json:"unmatched"`
	Duplicate int `json:"duplicate"`
}

type paneDecided struct {
	Approve int `json:"approve"`
	Refer   int `json:"refer"`
	Decline int `json:"decline"`
}

func newTally() *tally {
	return &tally{Buckets: map[string]int{}, Versions: map[string]int{}, Groups: map[string]int{}, Scores: map[int]int{}, Missing: make([]int, 23)}
}

func (d paneDecided) into(counts map[string]int, key string) {
	for decision, n := range map[string]int{"approve": d.Approve, "refer": d.Refer, "decline": d.Decline} {
		if n > 0 {
			counts[key+"/"+decision] += n
		}
	}
}

// add adds a pane, which must agree with itself.
func (c *tally) add(p *pane) error {
	c.Malformed += p.Malformed
	c.Read += p.Read
	c.Matched += p.Matched
	c.Unmatched += p.Unmatched
	c.Duplicate += p.Duplicate
	if p.Decisions == 0 {
		return nil
	}
	c.Decisions += p.Decisions
	c.Buckets[p.Bucket.Format("15:04")] += p.Decisions
	if len(p.Features) != 23 {
		return fmt.Errorf("a pane counts %d features", len(p.Features))
	}
	for i, f := range p.Features {
		n := f.Missing
		for _, k := range f.Bins {
			n += k
		}
		if n != p.Decisions {
			return fmt.Errorf("feature %d of a pane counts %d values of %d decisions", i, n, p.Decisions)
		}
		c.Missing[i] += f.Missing
	}
	for _, g := range p.Groups {
		g.into(c.Groups, g.Attribute+"/"+g.Group)
	}
	for _, v := range p.Versions {
		v.into(c.Versions, v.Version+"/"+v.Route+"/"+v.Channel)
		for bin, n := range v.Scores {
			c.Scores[bin] += n
		}
	}
	return nil
}

// panesSeen reads committed panes from the beginning and as they come, with a
// client that has nothing in common with the product's.
type panesSeen struct {
	mu     sync.Mutex
	tally  *tally // guarded by mu
	failed error  // guarded by mu
	ended  bool   // guarded by mu: the sentinel was read
}

const sentinel = "end"

func watchPanes(t *testing.T, s servers, prefix string) *panesSeen {
	seen := &panesSeen{tally: newTally()}
	follow(t, s, prefix+".drift.panes", seen.see)
	return seen
}

func (s *panesSeen) see(m *sarama.ConsumerMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(m.Key) == sentinel {
		s.ended = true
		return
	}
	var p pane
	err := json.Unmarshal(m.Value, &p)
	if err == nil {
		err = s.tally.add(&p)
	}
	if err != nil && s.failed == nil {
		s.failed = err
	}
}

func (s *panesSeen) counted() (decisions, outcomes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Decisions, s.tally.Read
}

// all is what every pane on the topic counts, once nobody writes any more.
func (s *panesSeen) all(t *testing.T, client *kgo.Client, prefix string) *tally {
	end := &kgo.Record{Topic: prefix + ".drift.panes", Key: []byte(sentinel), Value: []byte("{}")}
	require.NoError(t, client.ProduceSync(t.Context(), end).FirstErr())
	until(t, time.Minute, "every pane is read", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.ended
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.failed)
	return s.tally
}

// recounted is what panes must count, from the predictions themselves.
func recounted(t *testing.T, predictions map[string]decided) *tally {
	c := newTally()
	for _, p := range predictions {
		var said struct {
			Version     string          `json:"model_version"`
			Route       string          `json:"route"`
			Channel     string          `json:"channel"`
			Decision    string          `json:"decision"`
			Probability float32         `json:"default_probability"`
			Features    map[string]*int `json:"features"`
			Decided     time.Time       `json:"decided_at"`
		}
		require.NoError(t, json.Unmarshal(p.value, &said))
		c.Decisions++
		c.Buckets[said.Decided.Format("15:04")]++
		c.Versions[said.Version+"/"+said.Route+"/"+said.Channel+"/"+said.Decision]++
		odds := float64(said.Probability) / (1 - float64(said.Probability))
		c.Scores[int(max(-80, min(79, math.Floor(math.Log(odds)/0.1))))]++
		for i, name := range featureNames() {
			if said.Features[name] == nil {
				c.Missing[i]++
			}
		}
		for _, attribute := range []string{"sex", "education", "marriage", "age"} {
			group := "missing"
			if v := said.Features[attribute]; v != nil {
				group = fmt.Sprint(*v)
				if attribute == "age" {
					group = ageBand(*v)
				}
			}
			c.Groups[attribute+"/"+group+"/"+said.Decision]++
		}
	}
	return c
}

func featureNames() []string {
	return strings.Fields("limit_bal sex education marriage age pay_0 pay_2 pay_3 pay_4 pay_5 pay_6 " +
		"bill_amt1 bill_amt2 bill_amt3 bill_amt4 bill_amt5 bill_amt6 pay_amt1 pay_amt2 pay_amt3 pay_amt4 pay_amt5 pay_amt6")
}

func ageBand(age int) string {
	for _, band := range []int{24, 34, 44, 54, 64} {
		if age <= band {
			return fmt.Sprintf("%d-%d", max(18, band-9), band)
		}
	}
	return "65+"
}

// counting is a test's own topics, with a scorer and a view at work.
type counting struct {
	t       *testing.T
	servers servers
	prefix  string
	witness *witness
	seen    *panesSeen
}

func newCounting(t *testing.T, s servers) *counting {
	c := &counting{t: t, servers: s, prefix: fmt.Sprintf("apptest-%08x", rand.Uint32())}
	run(t, c.with("topics", "apply", "--partitions", "4")...)
	c.witness, c.seen = watch(t, s, c.prefix), watchPanes(t, s, c.prefix)
	service(t, "scorer", c.with("score", "--model", "shipped", "--group", c.prefix)...)
	service(t, "view", c.with("view", "--redis", s.redis)...)
	return c
}

func (c *counting) with(args ...string) []string {
	return append(args, "--brokers", c.servers.kafka, "--prefix", c.prefix)
}

// replica starts one that counts and, if no other does, judges.
func (c *counting) replica(instance string, args ...string) *app {
	return service(c.t, "drift-"+instance, c.with(append([]string{"drift", "--model", "shipped", "--redis", c.servers.redis, "--from", "start",
		"--group", "drift-" + c.prefix, "--instance", instance, "--static"}, args...)...)...)
}

// produce emits n applications, and tells the outcomes of those that are approved.
func (c *counting) produce(n int, source ...string) *app {
	return start(c.t, "produce", c.with(append([]string{"produce", "--json", "--count", fmt.Sprint(n), "--id-prefix", c.prefix + "-",
		"--outcomes-after", "1s", "--outcomes-for", "approved"}, source...)...)...)
}

// countedOnce lets two replicas count decisions and outcomes while they are killed
// again and again, and recounts.
func countedOnce(t *testing.T, s servers, n, kills int, source ...string) {
	c := newCounting(t, s)
	prefix, w, seen, alerts := c.prefix, c.witness, c.seen, watchAlerts(t, s, c.prefix)
	replicas := map[string]*app{"one": c.replica("one").ready(), "two": c.replica("two").ready()}
	p := c.produce(n, source...)
	for k := range kills {
		until(t, time.Minute, "it goes on", func() bool {
			decisions, _ := seen.counted()
			return decisions >= n*k/(2*kills)
		})
		instance := []string{"one", "two"}[k%2]
		replicas[instance].kill()
		replicas[instance] = c.replica(instance)
	}
	p.wait(2 * time.Minute)
	var emitted struct {
		Outcomes int `json:"outcomes"`
	}
	p.answer(&emitted)
	until(t, 2*time.Minute, "every application is answered", func() bool { return w.answered() >= n })
	predictions, client := w.predictions(), newClient(t, s)
	approved, again := 0, 0
	for id, p := range predictions {
		if !bytes.Contains(p.value, []byte(`"decision":"approve"`)) {
			continue
		}
		if approved++; again < 40 {
			again++
			tell(t, client, prefix, id)             // which its producer tells, too
			tell(t, client, prefix, "nobody's-"+id) // of whom nothing was decided
		}
	}
	require.Equal(t, approved, emitted.Outcomes)
	until(t, 2*time.Minute, "everything is counted", func() bool {
		decisions, outcomes := seen.counted()
		return decisions >= n && outcomes >= approved+2*again
	})
	for _, r := range replicas {
		r.ready()
		r.terminate()
	}
	want := recounted(t, predictions)
	want.Read, want.Matched, want.Duplicate, want.Unmatched = approved+2*again, approved, again, again
	require.Equal(t, want, seen.all(t, client, prefix))
	alerts.areTold(t, client, prefix)
}

// measures says whether a line of a service's metrics matches.
func (a *app) measures(line string) bool {
	status, text := shownBy(a.listen, "/metrics")
	return status == http.StatusOK && regexp.MustCompile("(?m)^"+line+"$").MatchString(text)
}

// tell writes an outcome.
func tell(t *testing.T, client *kgo.Client, prefix, id string) {
	value := fmt.Sprintf(`{"application_id":%q,"defaulted":0,"observed_at":%q}`, id, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: prefix + ".outcomes", Key: []byte(id), Value: []byte(value)}).FirstErr())
}

func TestDecisionsAreCountedOnceOnTheEmbeddedBroker(t *testing.T) {
	long(t)
	t.Parallel()
	countedOnce(t, embedded(t), 10_000, 4, "--seed", "7", "--rate", "2500")
}

// A Redis that is emptied while outcomes are joined makes none of them unmatched:
// they wait until the view has filled it again.
func TestOutcomesWaitForAnEmptiedRedis(t *testing.T) {
	long(t)
	t.Parallel()
	const n = 5_000
	s := embedded(t)
	c := newCounting(t, s)
	replica := c.replica("one").ready()
	p := c.produce(n, "--seed", "7", "--rate", "1500")
	until(t, time.Minute, "outcomes are counted", func() bool { _, outcomes := c.seen.counted(); return outcomes > 200 })
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer func() { _ = client.Close() }()
	require.NoError(t, client.FlushAll(t.Context()).Err())
	p.wait(time.Minute)
	var emitted struct {
		Outcomes int `json:"outcomes"`
	}
	p.answer(&emitted)
	until(t, time.Minute, "everything is counted", func() bool {
		decisions, outcomes := c.seen.counted()
		return decisions >= n && outcomes >= emitted.Outcomes
	})
	replica.terminate()
	all := c.seen.all(t, newClient(t, s), c.prefix)
	require.Equal(t, []int{n, emitted.Outcomes, emitted.Outcomes, 0, 0}, []int{all.Decisions, all.Read, all.Matched, all.Unmatched, all.Duplicate})
}
