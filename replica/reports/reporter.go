// Package reports carries the reports of replicas over their topic: it writes those of
// this process once a second, follows everyone's onto a replica.Board, and claims a name.
package reports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/replica"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// interval is between two reports.
	interval = time.Second
	// deliveryTime is how long a report may be on its way: the next one says more.
	deliveryTime = time.Second
	// stopTime is what the last words may take.
	stopTime = 2 * time.Second
	// What may be on its way at once, in reports of the whole process; more are
	// dropped.
	maxUnderway = 3
	// maxText bounds a reason: a report is a few kilobytes.
	maxText = 1000
)

// Component is one component of the process, and where to look how it does. What
// may be nil says nothing.
type Component struct {
	Name     string // score, api, view, produce, drift
	Instance string
	Ready    func() error                  // nil result: it can do its work
	Pending  func() error                  // what it waits for all the same; may be nil
	Models   func() *schemas.ReplicaModels // may be nil: it serves none
	Measures Measures
	Latency  *replica.Latencies // may be nil: nothing is timed
	// Claim is that to the name, may be nil: nothing is reported until it is held, as
	// the name may be another process's.
	Claim *Claim
}

// Config is what a Reporter needs.
type Config struct {
	Kafka      kafka.Config
	Topics     schemas.Topics
	Host       string
	Version    string              // of the program
	Started    time.Time           // the process
	Gatherer   prometheus.Gatherer // of the components' metrics
	Registerer prometheus.Registerer
	Log        *slog.Logger
}

// Reporter says what the components of this process are doing. It never holds them
// up: a report that cannot be written is dropped and counted.
type Reporter struct {
	config     Config
	components []reported
	client     *kgo.Client
	sent       prometheus.Counter
	dropped    prometheus.Counter

	mu    sync.Mutex // guards what follows
	state error      // why the last report was dropped; nil when it was written
	told  bool       // whether anything was written or dropped yet
}

// reported is a component and the marks of its last reports.
type reported struct {
	Component
	told  bool
	marks []mark // oldest first, at most replica.RecentTurns of them
}

// mark is how much was done at a time.
type mark struct {
	at      time.Time
	records int64
}

// NewReporter returns a Reporter that says nothing yet.
func NewReporter(c Config, components ...Component) (*Reporter, error) {
	client, err := kgo.NewClient(append(c.Kafka.Quiet().Options(),
		kgo.DefaultProduceTopic(c.Topics.Replicas),
		// A report that is late is worth nothing, and one that comes twice does no
		// harm: neither order nor exactness is worth waiting for.
		kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.RecordDeliveryTimeout(deliveryTime),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(maxUnderway*max(1, len(components))),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)...)
	if err != nil {
		return nil, err
	}
	f := promauto.With(c.Registerer)
	r := &Reporter{
		config: c, client: client,
		sent:    f.NewCounter(prometheus.CounterOpts{Name: "creditstream_replica_reports_total", Help: "Reports of this process that are on the replicas topic."}),
		dropped: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_replica_reports_dropped_total", Help: "Reports of this process that could not be written; nothing waits for them."}),
	}
	for _, one := range components {
		r.components = append(r.components, reported{Component: one, marks: []mark{{at: c.Started}}})
	}
	return r, nil
}

// Run reports once a second until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		r.report(nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Stop says the last words, once Run has returned: why the process failed, or, when
// it did not, that its components are gone. It waits for a moment at most.
func (r *Reporter) Stop(failure error) {
	defer r.client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if told, err := r.last(); told && err != nil {
		return // nobody has heard of this process of late, nor would anybody now
	}
	_ = r.client.Flush(ctx) // what is left of the time is for the last words
	if told, err := r.last(); !told || err != nil {
		return
	}
	if failure != nil {
		r.report(failure)
	} else {
		started := schemas.At(r.config.Started).String()
		for i := range r.components {
			if c := &r.components[i]; c.told {
				r.produce(&kgo.Record{Key: c.key(), Headers: []kgo.RecordHeader{{Key: schemas.HeaderStarted, Value: []byte(started)}}})
			}
		}
	}
	_ = r.client.Flush(ctx) // what is not written in time is not written
}

// last says whether there was a report yet, and what became of the last one.
func (r *Reporter) last() (told bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told, r.state
}

func (c *reported) key() []byte { return []byte(schemas.ReplicaKey(c.Name, c.Instance)) }

// report writes what each component is doing now. failure is why all of them end.
func (r *Reporter) report(failure error) {
	measured, err := gather(r.config.Gatherer)
	if err != nil {
		r.note(err)
		return
	}
	now := time.Now()
	for i := range r.components {
		c := &r.components[i]
		if c.Claim != nil && !c.Claim.Held() {
			continue
		}
		c.told = true
		said := c.said(r.config, measured, now)
		if failure != nil {
			said.Ready, said.Reason, said.Pending = false, shorten(failure), ""
		}
		r.produce(&kgo.Record{Key: c.key(), Value: schemas.AppendReplica(nil, &said)})
	}
}

// said is what a component says of itself.
func (c *reported) said(config Config, measured samples, now time.Time) schemas.Replica {
	p := schemas.Replica{
		Component: c.Name, Instance: c.Instance, Host: config.Host, Version: config.Version,
		Started: schemas.At(config.Started), At: schemas.At(now), Reason: shorten(c.Ready()),
	}
	p.Ready = p.Reason == ""
	if p.Ready && c.Pending != nil {
		p.Pending = shorten(c.Pending())
	}
	if c.Models != nil {
		p.Models = c.Models()
	}
	c.Measures.count(measured, &p)
	if c.Latency != nil {
		p.Recent.Latency, p.Total.Latency = c.Latency.Turn()
	}
	first := c.marks[0]
	p.Recent.Seconds, p.Recent.Records = max(0, now.Sub(first.at).Seconds()), max(0, p.Total.Records-first.records)
	p.Total.Seconds = max(0, now.Sub(config.Started).Seconds())
	if c.marks = append(c.marks, mark{now, p.Total.Records}); len(c.marks) > replica.RecentTurns {
		c.marks = c.marks[1:]
	}
	return p
}

// shorten is an error on one line, not too long; empty where there is none.
func shorten(err error) string {
	if err == nil {
		return ""
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// produce hands a record to the client, which drops it when too many are underway.
func (r *Reporter) produce(record *kgo.Record) {
	r.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) { r.note(err) })
}

// note counts a report and tells when reports begin to be dropped, and when they
// no longer are.
func (r *Reporter) note(err error) {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, kgo.ErrAborting) {
		return
	}
	r.mu.Lock()
	before := r.state
	r.state, r.told = err, true
	r.mu.Unlock()
	if err == nil {
		r.sent.Inc()
	} else {
		r.dropped.Inc()
	}
	switch {
	case err != nil && before == nil:
		r.config.Log.Warn("replica status reports are being dropped", "topic", r.config.Topics.Replicas, "error", r.explain(err))
	case err == nil && before != nil:
		r.config.Log.Info("replica status reports are sent again", "topic", r.config.Topics.Replicas)
	}
}

func (r *Reporter) explain(err error) error {
	topic := r.config.Topics.Replicas
	dial, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && dial.Op == "dial":
		return r.config.Kafka.Explain(err)
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return &kafka.MissingTopicsError{Topics: []string{topic}}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &kafka.AccessError{Missing: kafka.Writes(topic)}
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrMaxBuffered):
		return fmt.Errorf("no broker takes it within %s: %w", deliveryTime, err)
	}
	return r.config.Kafka.Explain(err)
}
