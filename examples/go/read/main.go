// Command read follows creditstream's decisions and keeps each once in a file, as
// JSON lines.
//
//	go run ./examples/go/read -out decisions.jsonl
//
// It uses franz-go, not kafka-go: decisions are written in transactions, and
// kafka-go hands out those of aborted ones even when told to read committed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// askTime bounds one question to Kafka.
const askTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "read:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	brokers := flag.String("brokers", environment("CREDITSTREAM_BROKERS", "127.0.0.1:9092"), "Kafka brokers, host:port,… (CREDITSTREAM_BROKERS)")
	topic := flag.String("topic", "credit.predictions", "topic that decisions are read from")
	group := flag.String("group", "example-go-read", "consumer group: remembers how far it is")
	out := flag.String("out", "decisions.jsonl", "file that decisions are kept in; one process each")
	count := flag.Int("count", 0, "stop once the file holds so many decisions; 0: at Ctrl-C")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("%q: expected flags only; read -help lists them", flag.Arg(0))
	}

	kept, err := openLedger(*out)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.ConsumerGroup(*group),
		kgo.ConsumeTopics(*topic),
		// Without this, decisions that were taken back would be among them.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // where the group has not been yet
		// Offsets are committed once the decisions are on disk, and no partition
		// moves to another member between poll and commit.
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return errors.Join(err, kept.close())
	}
	defer client.CloseAllowingRebalance()
	if err := reachable(ctx, client, *topic); err != nil {
		return errors.Join(err, kept.close())
	}
	err = follow(ctx, client, kept, *count)
	fmt.Fprintf(os.Stderr, "%s holds %d decisions\n", *out, len(kept.keys))
	return errors.Join(err, kept.close())
}

// reachable says early and once what a client would otherwise try for ever.
func reachable(ctx context.Context, client *kgo.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	topics, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return nil
}

// follow keeps decisions until a signal, or until the ledger holds count.
func follow(ctx context.Context, client *kgo.Client, kept *ledger, count int) error {
	for count == 0 || len(kept.keys) < count {
		fetches := client.PollRecords(ctx, 1000)
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.Canceled) {
				return nil
			}
			return fmt.Errorf("%s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		for _, r := range fetches.Records() {
			if err := kept.add(r); err != nil {
				return fmt.Errorf("%s/%d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
		if err := kept.sync(); err != nil {
			return err
		}
		// When this fails, or the process dies just before, the same decisions come
		// again and the ledger knows them.
		commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		if err := client.CommitUncommittedOffsets(commit); err != nil {
			fmt.Fprintln(os.Stderr, "read: offsets were not committed:", err)
		}
		cancel()
		client.AllowRebalance()
	}
	return nil
}

func environment(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
