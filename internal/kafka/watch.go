package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// OpenWatchConfig is what an OpenWatch needs.
type OpenWatchConfig struct {
	Component  string // whose reading waits, as the metrics' label
	Topic      string
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
	// Since sets since when transactions are open (Config.Since).
	Since func(ctx context.Context, open []Open) error
}

// OpenWatch watches for transactions that other producers leave open on a topic that a
// component reads: what lies behind them waits, and nothing else shows that.
type OpenWatch struct {
	config           OpenWatchConfig
	records, seconds *prometheus.GaugeVec // by partition

	mu    sync.Mutex // guards what follows
	open  map[int32]*watched
	shown map[int32]bool // partitions that have gauges
}

// watched is a transaction that has been open since it was first seen, or for longer.
type watched struct {
	Open
	known bool // since when is known, or cannot be
	told  bool
}

// NewOpenWatch returns an OpenWatch of no partitions yet.
func NewOpenWatch(c OpenWatchConfig) *OpenWatch {
	if c.Now == nil {
		c.Now = time.Now
	}
	labels := []string{"component", "topic", "partition"}
	of := prometheus.Labels{"component": c.Component, "topic": c.Topic}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return shared(c.Registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)).MustCurryWith(of)
	}
	return &OpenWatch{
		config:  c,
		records: gauge("creditstream_open_transaction_records", "Offsets of a partition that a component reads between the last stable offset and the high watermark: they wait until a transaction ends. Not part of the lag."),
		seconds: gauge("creditstream_open_transaction_seconds", "How long the oldest transaction that is open on the partition has been open, 0 where none is."),
		open:    map[int32]*watched{},
		shown:   map[int32]bool{},
	}
}

// shared registers a vector, or returns the one that another component of the process
// has registered.
func shared(r prometheus.Registerer, v *prometheus.GaugeVec) *prometheus.GaugeVec {
	if r == nil { // nobody asks
		return v
	}
	err := r.Register(v)
	if before, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return before.ExistingCollector.(*prometheus.GaugeVec)
	}
	if err != nil {
		panic(err)
	}
	return v
}

// Look takes in where the partitions that the component reads now end. One look after
// another sees whether a transaction is still the same.
func (w *OpenWatch) Look(ctx context.Context, ends map[int32]End) {
	var asked []Open
	now := w.config.Now()
	w.mu.Lock()
	for partition := range w.shown {
		if _, ok := ends[partition]; !ok {
			w.forget(partition)
		}
	}
	for partition, end := range ends {
		before := w.open[partition]
		n := end.Behind()
		if before != nil && (n == 0 || before.Offset != end.Stable) {
			w.ended(before, now)
			before = nil
		}
		switch {
		case n == 0:
		case before == nil:
			w.open[partition] = &watched{Open: Open{Topic: w.config.Topic, Partition: partition, Offset: end.Stable, Records: n, Since: now}}
		default:
			before.Records = n
			if !before.known {
				before.known = true
				asked = append(asked, Open{Topic: w.config.Topic, Partition: partition, Offset: end.Stable})
			}
		}
	}
	w.mu.Unlock()
	// Most transactions end between two looks: the log is asked only about those that
	// have not. That may fail: it has been open for as long as it was seen, at least.
	if err := w.config.Since(ctx, asked); err != nil {
		w.config.Log.Debug("cannot look up since when transactions are open", "topic", w.config.Topic, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range asked {
		if known := w.open[o.Partition]; known != nil && known.Offset == o.Offset && !o.Since.IsZero() && o.Since.Before(known.Since) {
			known.Since = o.Since
		}
	}
	now = w.config.Now()
	for partition := range ends {
		w.show(partition, now)
	}
}

// show sets a partition's gauges and says once that a transaction has been open for
// long. mu is held.
func (w *OpenWatch) show(partition int32, now time.Time) {
	label, records, age := strconv.Itoa(int(partition)), 0.0, 0.0
	if o := w.open[partition]; o != nil {
		records, age = float64(o.Records), max(0, now.Sub(o.Since).Seconds())
		if !o.told && now.Sub(o.Since) >= OpenPatience {
			o.told = true
			w.config.Log.Warn("records wait behind an open transaction of their producer: they cannot be read until it ends or times out",
				"topic", o.Topic, "partition", o.Partition, "offset", o.Offset, "records", o.Records, "since", o.Since.UTC().Format(time.RFC3339))
		}
	}
	w.shown[partition] = true
	w.records.WithLabelValues(label).Set(records)
	w.seconds.WithLabelValues(label).Set(age)
}

// ended forgets a transaction that is open no more. mu is held.
func (w *OpenWatch) ended(o *watched, now time.Time) {
	if o.told {
		w.config.Log.Info("the open transaction has ended: what was behind it can be read",
			"topic", o.Topic, "partition", o.Partition, "offset", o.Offset, "records", o.Records, "open_for", now.Sub(o.Since).Round(time.Second))
	}
	delete(w.open, o.Partition)
}

// forget leaves a partition to whoever reads it now. mu is held.
func (w *OpenWatch) forget(partition int32) {
	delete(w.open, partition)
	delete(w.shown, partition)
	label := strconv.Itoa(int(partition))
	w.records.DeleteLabelValues(label)
	w.seconds.DeleteLabelValues(label)
}

// Pending says what waits behind transactions that have been open for long, nil where
// there is nothing.
func (w *OpenWatch) Pending() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var old []Open
	records := int64(0)
	for _, o := range w.open {
		if w.config.Now().Sub(o.Since) >= OpenPatience {
			old = append(old, o.Open)
			records += o.Records
		}
	}
	if len(old) == 0 {
		return nil
	}
	if len(old) == 1 {
		return errors.New(old[0].String())
	}
	slices.SortFunc(old, func(a, b Open) int { return int(a.Partition) - int(b.Partition) })
	oldest := slices.MinFunc(old, func(a, b Open) int { return a.Since.Compare(b.Since) })
	var partitions []string
	for _, o := range old {
		partitions = append(partitions, strconv.Itoa(int(o.Partition)))
	}
	return fmt.Errorf("%d records behind open transactions on %s/%s, the oldest since %s", records, w.config.Topic,
		strings.Join(partitions, ","), oldest.Since.UTC().Format(time.RFC3339))
}

const (
	// WatchInterval is how often WatchOpen looks.
	WatchInterval = 5 * time.Second
	// What one look may take.
	watchTimeout = 5 * time.Second
)

// WatchOpen looks at every partition of the topics that are watched until ctx ends, for a
// component that follows whole topics. What it cannot look up is left as it was: the
// component's own reading says why.
func (c Config) WatchOpen(ctx context.Context, interval time.Duration, watches ...*OpenWatch) error {
	client, err := kgo.NewClient(append(c.Quiet().Options(), kgo.WithContext(ctx))...)
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, w := range watches {
			look, cancel := context.WithTimeout(ctx, watchTimeout)
			if ends, err := ListEnds(look, adm, w.config.Topic); err == nil {
				w.Look(look, ends[w.config.Topic])
			}
			cancel()
		}
	}
}
