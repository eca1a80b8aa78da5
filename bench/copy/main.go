// Command copy copies a topic exactly once and looks at nothing: what the scorer's
// client, group and transactions cost without the scoring. Its settings are those
// of scorer/stream, but it does not rest between small transactions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// settings say what is copied where.
type settings struct {
	brokers  string
	from, to string
	group    string
	start    string
	sessions int
	batch    int
}

func main() {
	var s settings
	flag.StringVar(&s.brokers, "brokers", "127.0.0.1:9092", "Kafka brokers, host:port,…")
	flag.StringVar(&s.from, "from", "", "topic to read")
	flag.StringVar(&s.to, "to", "", "topic to write")
	flag.StringVar(&s.group, "group", "copy", "consumer group, and prefix of the transactional ids")
	flag.StringVar(&s.start, "start", "start", "where a group without commits begins: start or end")
	flag.IntVar(&s.sessions, "sessions", 2, "transactional sessions of this process")
	flag.IntVar(&s.batch, "batch", 20_000, "most records in one transaction")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.sessions {
		group.Go(func() error { return s.copy(ctx, i) })
	}
	err := group.Wait()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "copy:", err)
		os.Exit(1)
	}
}

// copy is one session, until ctx ends. It gives up at the first error: a benchmark
// that had to begin again is void.
func (s *settings) copy(ctx context.Context, session int) error {
	start := kgo.NewOffset().AtStart()
	if s.start == "end" {
		start = kgo.NewOffset().AtEnd()
	}
	sess, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(s.brokers, ",")...),
		kgo.ClientID("copy"),
		kgo.ConsumerGroup(s.group),
		kgo.ConsumeTopics(s.from),
		kgo.ConsumeStartOffset(start),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.SessionTimeout(10*time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.RebalanceTimeout(10*time.Second),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.TransactionalID(s.group+"-"+strconv.Itoa(session)),
		kgo.TransactionTimeout(8*time.Second),
		kgo.ProducerBatchMaxBytes(2<<20),
		kgo.ProducerLinger(10*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer sess.Close()
	records := make([]kgo.Record, s.batch) // used again once a transaction has ended
	for {
		fetches := sess.PollRecords(ctx, s.batch)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", s.from, err)
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := s.transact(sess, fetches, records); err != nil {
			return err
		}
	}
}

func (s *settings) transact(sess *kgo.GroupTransactSession, fetches kgo.Fetches, records []kgo.Record) error {
	ctx := context.Background()
	if err := sess.Begin(); err != nil {
		return err
	}
	failed := kgo.AbortingFirstErrPromise(sess.Client())
	n := 0
	fetches.EachRecord(func(r *kgo.Record) {
		records[n] = kgo.Record{Topic: s.to, Key: r.Key, Value: r.Value}
		sess.Produce(ctx, &records[n], failed.Promise())
		n++
	})
	if err := errors.Join(sess.Client().Flush(ctx), failed.Err()); err != nil {
		return fmt.Errorf("writing %s: %w", s.to, err)
	}
	// A rebalance aborts, and the records are polled again.
	_, err := sess.End(ctx, kgo.TryCommit)
	return err
}
