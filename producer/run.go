package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// flushTime is how long what has been made may take to be acknowledged once
	// the producer was told to stop.
	flushTime = 15 * time.Second
	// connectTime is how long the brokers may take to answer the first question.
	connectTime = 10 * time.Second
	// decisionPatience is how long to wait for a decision when nothing else is
	// left to do.
	decisionPatience = 30 * time.Second
)

// Run emits applications until Count, the end of the file, or the end of the
// context; then tells outcomes that are still to come, and flushes. When the
// context ends it flushes what has been made, and returns nil.
func (p *Producer) Run(ctx context.Context) (err error) {
	defer func() {
		p.ended.CompareAndSwap(0, time.Now().UnixNano())
		p.setReady(errors.New("stopped"))
	}()
	src, err := p.open()
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // was only read from

	if r, ok := src.(*replay); ok {
		if err := r.skip(p.config.Start); err != nil {
			return err
		}
	}
	cl, err := kgo.NewClient(append(p.config.Kafka.Options(),
		// Idempotent is the default; named here because exactly-once begins here.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2 of the key, as every Kafka client does
		kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(50_000),
	)...)
	if err != nil {
		return fmt.Errorf("brokers %s: %w", strings.Join(p.config.Kafka.Brokers, ","), err)
	}
	defer cl.Close()
	if err := p.requireTopics(ctx, cl); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.begin()
	if err := p.config.Codec.Await(ctx); err != nil {
		return nil // told to stop
	}
	r := &emission{Producer: p, client: cl, source: src}
	return r.run(ctx)
}

func (p *Producer) open() (source, error) {
	c := &p.config
	if c.File == "" {
		g := newGenerator(c.Population, c.Seed, c.IDPrefix)
		if c.Truth != nil {
			g.truth = c.Truth
		}
		return &synthetic{generator: g}, nil
	}
	r, err := openReplay(c.File, c.IDPrefix, c.Loop)
	if err != nil {
		return nil, err
	}
	if c.OutcomesAfter > 0 && !r.hasLabel() {
		_ = r.Close()
		return nil, fmt.Errorf("%s holds no outcomes: there is no column default.payment.next.month", c.File)
	}
	return r, nil
}

// Begun is closed once the topics are found: there is something to report from then on.
func (p *Producer) Begun() <-chan struct{} { return p.begun }

func (p *Producer) requireTopics(ctx context.Context, cl *kgo.Client) error {
	access := kafka.Writes(p.config.Topics.Applications)
	if p.config.OutcomesAfter > 0 {
		access = append(access, kafka.Writes(p.config.Topics.Outcomes)...)
		if p.config.OutcomesFor == OutcomesForApproved {
			access = append(access, kafka.Reads(p.config.Topics.Predictions)...)
		}
	}
	ask, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	err := kafka.RequireAccess(ask, kadm.NewClient(cl), access)
	var missing *kafka.MissingTopicsError
	if err == nil || errors.As(err, &missing) || kafka.Refused(err) {
		return p.config.Kafka.Explain(err)
	}
	if why := p.config.Kafka.Explain(err); why != err { //nolint:errorlint // whether it is another
		return why
	}
	return fmt.Errorf("brokers %s: %w", strings.Join(p.config.Kafka.Brokers, ","), err)
}

func (p *Producer) setReady(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notReady = err
}

// emission is one run's state.
type emission struct {
	*Producer
	client *kgo.Client
	source source

	once   sync.Once
	failed error // the first; read once stop has been called
	stop   context.CancelFunc
	// produce outlives the run's context by flushTime, so that stopping loses
	// nothing that was made.
	produce context.Context
}

func (e *emission) run(ctx context.Context) error {
	var cancel context.CancelFunc
	e.produce, cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(flushTime, cancel) })()
	var work context.Context
	work, e.stop = context.WithCancel(ctx)
	defer e.stop()

	var tellers sync.WaitGroup
	if err := e.startOutcomes(work, &tellers); err != nil {
		return err
	}
	e.mu.Lock()
	e.started = time.Now()
	e.notReady = nil
	e.mu.Unlock()

	err := e.emit(work)
	e.ended.Store(time.Now().UnixNano())
	if e.outcomes != nil {
		if err != nil {
			e.stop()
		}
		e.outcomes.end()
	}
	tellers.Wait()
	return errors.Join(err, e.flush())
}

// flush waits for every acknowledgement and returns the first failure.
func (e *emission) flush() error {
	err := e.client.Flush(e.produce)
	e.fail(nil) // from here on no failure is written
	if e.failed != nil {
		return e.failed
	}
	if err != nil {
		return fmt.Errorf("%d records were not acknowledged within %s", e.client.BufferedProduceRecords(), flushTime)
	}
	return nil
}

func (e *emission) fail(err error) {
	e.once.Do(func() {
		e.failed = err
		e.stop()
	})
}

// emit makes applications at the rate asked for. It ends with the count, the
// file, the context or a failure; only the source's error is returned.
func (e *emission) emit(ctx context.Context) error {
	topic := e.config.Topics.Applications
	pool := &batches{
		codec: e.config.Codec,
		acked: func(kind int8) {
			switch kind {
			case whole:
				e.produced.Add(1)
			case faulty:
				e.broken.Add(1)
				e.malformed[OutOfRange].Add(1)
			default:
				e.malformed[kind].Add(1)
			}
		},
		done: func() { e.flow.landed(time.Now()) },
		fail: func(_ *kgo.Record, err error) { e.fail(fmt.Errorf("writing to %s: %w", topic, err)) },
	}
	var (
		a    applicant
		app  schemas.Application
		n    = e.config.Start
		last = n + e.config.Count // wraps to n when there is no end
		mix  = newBlend(e.config.Malformed)
	)
	for {
		limit := uint64(batchSize)
		if e.config.Count > 0 {
			if n == last {
				return nil
			}
			limit = min(limit, last-n)
		}
		due, err := e.pace.take(ctx, int(limit))
		if err != nil { // only the context's end
			return nil //nolint:nilerr // told to stop is not a failure
		}
		b := pool.get()
		for range due {
			w := e.director.at(n)
			if err = e.source.next(&a, n, w); err != nil {
				break
			}
			now := time.Now()
			app = schemas.Application{ApplicationID: string(a.id), AppliedAt: schemas.At(now), Features: a.features}
			kind := whole
			if w.fault != faultNone && w.fault.apply(n, &app.Features) {
				kind = faulty
			}
			b.add(topic, &app, kind, now)
			if kind == whole && e.outcomes != nil && a.fate != unknown {
				e.outcomes.add(app.ApplicationID, uint8(a.fate), now)
			}
			mix.add(b, topic, n, &app, &a, w)
			n++
		}
		e.generated.Store(n - e.config.Start)
		e.send(b)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// send hands a batch to the client; it waits while too much is unacknowledged.
func (e *emission) send(b *batch) {
	if len(b.records) == 0 {
		return
	}
	b.pending.Store(int64(len(b.records)))
	e.flow.sent(time.Now())
	for i := range b.records {
		e.client.Produce(e.produce, &b.records[i], b.promise[b.kinds[i]-faulty])
	}
}
