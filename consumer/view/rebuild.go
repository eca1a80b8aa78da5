package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas/wire"
)

// Rebuilt says what a rebuild did.
type Rebuilt struct {
	Generation int64 `json:"generation"`
	Read       int64 `json:"read"`    // predictions, in this run
	Written    int64 `json:"written"` // in this run; the others were older than what is there
	Removed    int64 `json:"removed"` // keys that the log no longer holds
}

// Rebuild writes the view anew from the log, key by key in place: every record
// replaces its own earlier copy because its stamp carries a later generation,
// never a newer record. What then still has an earlier generation, and an offset
// that the rebuild has passed, is not in the log any more and is removed. Readers
// always find a whole prediction, and views go on working meanwhile. Interrupted,
// the next one goes on. Only Kafka, Topics, Codec, Redis, Lifetimes and Log
// of the configuration count; progress goes to w.
func Rebuild(ctx context.Context, c Config, w io.Writer) (Rebuilt, error) {
	c = c.withDefaults()
	m := newMetrics(prometheus.NewRegistry())
	r := &rebuilder{config: c, store: NewStore(c.Redis, c.Kafka.Prefix), metrics: m, progress: w}
	r.outage = outage{log: c.Log, errors: m.redisErrors, once: true}
	err := r.run(ctx)
	return r.done, err
}

type rebuilder struct {
	config   Config
	store    *Store
	metrics  *metrics
	outage   outage
	progress io.Writer
	log      uint32
	plan     plan
	done     Rebuilt
	shown    time.Time
}

// errAbandoned: the rebuild's own state is gone or another's.
var errAbandoned = errors.New("during the rebuild Redis was emptied, or another rebuild has taken over: the view fills itself; run the rebuild again if it is still wanted")

func (r *rebuilder) run(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.read(ctx); err != nil {
		return err
	}
	if err := r.sweep(ctx); err != nil {
		return err
	}
	return r.close(ctx)
}

func (r *rebuilder) prepare(ctx context.Context) error {
	client, err := r.config.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	l, err := logOf(ctx, adm, r.config.Topics.Predictions)
	if err == nil {
		err = requireOwn(ctx, r.config, r.store, &r.outage, l.cluster)
	}
	if err != nil {
		return err
	}
	r.log = l.number
	return r.open(ctx, adm)
}

// open goes on with the plan in Redis, or makes one if there is none for this log.
func (r *rebuilder) open(ctx context.Context, adm *kadm.Client) error {
	topic := r.config.Topics.Predictions
	var found bool
	err := r.outage.retry(ctx, func(ctx context.Context) (err error) {
		r.plan, found, err = r.store.plan(ctx, r.log)
		return err
	})
	if err != nil {
		return err
	}
	if found {
		r.done.Generation = r.plan.generation
		fmt.Fprintf(r.progress, "going on with rebuild %d: %d offsets to read\n", r.plan.generation, r.left())
		return nil
	}
	bounds, err := kafka.Bounds(ctx, adm, topic)
	if err != nil {
		return err
	}
	stretches := map[int32]stretch{}
	for partition, b := range bounds[topic] {
		stretches[partition] = stretch{b.From, b.To}
	}
	err = r.outage.retry(ctx, func(ctx context.Context) (err error) {
		r.plan, err = r.store.begun(ctx, r.log, stretches)
		return err
	})
	r.done.Generation = r.plan.generation
	if err == nil {
		fmt.Fprintf(r.progress, "rebuild %d: %d offsets to read\n", r.plan.generation, r.left())
	}
	return err
}

func (r *rebuilder) left() (offsets int64) {
	for _, s := range r.plan.stretches {
		offsets += max(0, s.end-s.next)
	}
	return offsets
}

// rebuildQuiet is how long nothing may come of a rebuild's stretches before they are
// looked at.
const rebuildQuiet = 2 * time.Second

// read writes every record below the ends, then says so in the plan.
func (r *rebuilder) read(ctx context.Context) error {
	at := map[int32]kgo.Offset{}
	for p, s := range r.plan.stretches {
		if s.next < s.end {
			at[p] = kgo.NewOffset().At(s.next)
		}
	}
	client, err := kgo.NewClient(append(r.config.Kafka.Options(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.config.Topics.Predictions: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a log that ends with a commit marker is read to its end
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	places := kafka.NewPlaces(r.config.Kafka)
	defer places.Close()
	unfinished, topic := len(at), r.config.Topics.Predictions
	var (
		patience kafka.Patience
		silence  kafka.Silence
		writing  pace
	)
	b := batch{log: r.log, generation: r.plan.generation, lifetimes: r.config.Lifetimes, logger: r.config.Log, metrics: r.metrics, codec: r.config.Codec, strict: !r.config.SkipAvro}
	for unfinished > 0 {
		poll, cancel := context.WithTimeout(ctx, rebuildQuiet)
		fetches := client.PollRecords(poll, r.config.batch)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() > 0 {
			silence.Broken(client)
		}
		broken, silent, err := kafka.Faults(fetches)
		if err != nil {
			return err
		}
		broken = append(broken, places.TakeOut(ctx, fetches, r.at)...)
		if silent && !silence.Throttled(client) { // else what does not come now comes when that is over
			for p := range at { // the client waits in silence for a batch whose length is wrong
				broken = append(broken, kgo.FetchError{Topic: topic, Partition: p})
			}
		}
		if fetches.NumRecords() > 0 {
			patience.Reset()
		}
		b.reset()
		now, passed := r.config.Now(), map[int32]stretch{}
		var unread error
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			s := r.plan.stretches[f.Partition]
			if len(f.Records) == 0 || s.next >= s.end {
				return
			}
			for i, record := range f.Records {
				if unread == nil && i%wire.LearnWindow == 0 {
					unread = b.learn(ctx, f.Records[i:min(i+wire.LearnWindow, len(f.Records))])
				}
				if unread != nil {
					return
				}
				if record.Offset >= s.end {
					s.next = s.end // what stood before it has left the log, or was aborted
					break
				}
				unread = b.add(ctx, record, now)
				s.next = max(s.next, record.Offset+1)
			}
			passed[f.Partition] = s
			if s.next >= s.end {
				unfinished--
				client.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
			}
		})
		if unread != nil {
			return unread
		}
		var failing error
		for _, e := range broken {
			p, s := e.Partition, r.plan.stretches[e.Partition]
			if later, ok := passed[p]; ok {
				s = later
			}
			if s.next >= s.end {
				continue
			}
			u, next, err := places.Ahead(ctx, client, e, s.next)
			if err != nil {
				failing = err
			}
			if u != nil && u.From < s.end {
				u.To = min(u.To, s.end)
				leaveOut(r.config, r.metrics, u)
			}
			silence.Broken(client)
			s.next = next
			passed[p] = s
			if s.next >= s.end {
				unfinished--
				client.PauseFetchPartitions(map[string][]int32{topic: {p}})
			}
		}
		if failing != nil {
			if err := patience.Wait(ctx, failing); err != nil {
				return err
			}
		}
		wrote, err := writing.write(ctx, &r.outage, r.store, b.entries)
		if err != nil {
			return err
		}
		if err := r.note(ctx, passed); err != nil {
			return err
		}
		maps.Copy(r.plan.stretches, passed)
		r.done.Read += int64(len(b.entries))
		r.done.Written += int64(wrote.Written)
		r.show()
	}
	return nil
}

// at is from which offset a partition is to be read on, and where its stretch ends.
func (r *rebuilder) at(_ string, partition int32) (from, end int64, ok bool) {
	s := r.plan.stretches[partition]
	return s.next, s.end, s.next < s.end
}

func (r *rebuilder) show() {
	if now := r.config.Now(); now.Sub(r.shown) >= time.Second {
		r.shown = now
		fmt.Fprintf(r.progress, "rebuild %d: %d predictions read, %d written, %d offsets to go\n", r.plan.generation, r.done.Read, r.done.Written, r.left())
	}
}

func (r *rebuilder) note(ctx context.Context, passed map[int32]stretch) error {
	var ours bool
	err := r.outage.retry(ctx, func(ctx context.Context) (err error) {
		ours, err = r.store.note(ctx, r.plan.generation, passed)
		return err
	})
	if err == nil && !ours {
		err = errAbandoned
	}
	return err
}

// sweep removes what the log no longer holds.
func (r *rebuilder) sweep(ctx context.Context) error {
	ends := map[int32]int64{}
	for p, s := range r.plan.stretches {
		ends[p] = s.end
	}
	return r.outage.retry(ctx, func(ctx context.Context) error {
		removed, err := r.store.sweep(ctx, r.log, r.plan.generation, ends)
		r.done.Removed += removed
		return err
	})
}

// close ends the rebuild. What it has read counts as progress: where no view
// has run yet, the first one need not read it again.
func (r *rebuilder) close(ctx context.Context) error {
	var ours bool
	err := r.outage.retry(ctx, func(ctx context.Context) (err error) {
		ours, err = r.store.ended(ctx, r.log, r.plan)
		return err
	})
	if err == nil && !ours {
		err = errAbandoned
	}
	return err
}
