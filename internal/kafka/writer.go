package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Message is a record to append.
type Message struct {
	Key, Value []byte // not to be changed afterwards
}

// Position is where a record is in its topic.
type Position struct {
	Partition int32
	Offset    int64
}

// ErrUnacknowledged says that a message was handed to Kafka and no answer came in
// time: it may or may not be in the log, or get there still.
var ErrUnacknowledged = errors.New("not acknowledged in time")

var errNotReached = errors.New("not reached yet")

// probeInterval is how often a Writer looks whether its topic can be written.
const probeInterval = 2 * time.Second

// Writer appends records to one topic and waits until all in-sync replicas have
// them. As a lifecycle.Component it says whether the topic can be reached; writing
// works until Close.
type Writer struct {
	config  Config
	client  *kgo.Client
	topic   string
	timeout time.Duration
	log     *slog.Logger

	mu    sync.Mutex // guards state
	state error      // why the topic cannot be reached
}

// NewWriter returns a Writer that waits at most timeout for an acknowledgement.
// It needs no broker yet.
func NewWriter(c Config, topic string, timeout time.Duration) (*Writer, error) {
	client, err := kgo.NewClient(append(c.Options(),
		kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Someone waits for each record: 10 ms of linger would be added to every answer.
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(max(timeout, time.Second)), // the least it takes
		// The partition that other clients' default puts a key in, also while
		// a partition has no leader.
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)...)
	if err != nil {
		return nil, err
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Writer{config: c, client: client, topic: topic, timeout: timeout, log: log, state: errNotReached}, nil
}

// write is one call of Write; its messages may still be answered after it returned.
type write struct {
	mu   sync.Mutex // guards errs, at and left
	errs []error
	at   []Position
	left int
	done chan struct{} // closed when left is 0
}

func (w *write) answered(i int, r *kgo.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs[i], w.at[i] = err, Position{r.Partition, r.Offset}
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

// Write appends the messages and sets each one's error: nil when it is in the log,
// where at then says.
// It returns when all are answered, after the timeout, or when ctx ends.
func (w *Writer) Write(ctx context.Context, messages []Message, at []Position, errs []error) {
	if len(messages) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	call := &write{errs: make([]error, len(messages)), at: make([]Position, len(messages)), left: len(messages), done: make(chan struct{})}
	for i, m := range messages {
		call.errs[i] = ErrUnacknowledged
		// Produce would block on a full buffer, past the deadline.
		w.client.TryProduce(ctx, &kgo.Record{Key: m.Key, Value: m.Value}, func(r *kgo.Record, err error) {
			call.answered(i, r, err)
		})
	}
	select {
	case <-call.done:
	case <-ctx.Done():
	}
	call.mu.Lock()
	defer call.mu.Unlock()
	copy(errs, call.errs)
	copy(at, call.at)
}

// Close ends the client. What was not acknowledged may be lost.
func (w *Writer) Close() { w.client.Close() }

// Name is part of lifecycle.Component.
func (*Writer) Name() string { return "log" }

// Ready is part of lifecycle.Component.
func (w *Writer) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state != nil {
		return fmt.Errorf("topic %s: %w", w.topic, w.state)
	}
	return nil
}

// Run looks after the topic until ctx ends. It fails only when the cluster is
// there when it starts and has no such topic, or does not let this client write it.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	reached := false
	for {
		err := w.config.Explain(w.probe(ctx))
		if ctx.Err() != nil {
			return nil
		}
		w.note(err)
		var missing *MissingTopicsError
		if !reached && (errors.As(err, &missing) || Refused(err)) {
			return err
		}
		reached = reached || err == nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// note keeps what a probe found and logs when that is news.
func (w *Writer) note(err error) {
	w.mu.Lock()
	before := w.state
	w.state = err
	w.mu.Unlock()
	switch {
	case err != nil && (before == nil || errors.Is(before, errNotReached)):
		w.log.Warn("the log cannot be written", "topic", w.topic, "error", err)
	case err == nil && before != nil && !errors.Is(before, errNotReached):
		w.log.Info("the log can be written again", "topic", w.topic)
	}
}

func (w *Writer) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	have, missing, err := lookFor(kadm.WithAuthorizedOps(ctx), kadm.NewClient(w.client), []string{w.topic})
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingTopicsError{missing}
	}
	t := have[w.topic]
	if denied := notAllowed(have, Writes(w.topic)); denied != nil {
		return denied
	}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("partition %d has no leader", p.Partition)
		}
	}
	return nil
}
