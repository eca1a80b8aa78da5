// Command emit hands credit applications to creditstream: it reads one JSON
// object a line and writes each to the applications topic with kafka-go.
//
//	go run ./examples/go/emit examples/applications.jsonl
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// batchSize is how many applications are handed to the client at once.
	batchSize = 500
	// deliveryTime bounds the delivery of a batch, retries included.
	deliveryTime = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "emit:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	brokers := flag.String("brokers", environment("CREDITSTREAM_BROKERS", "127.0.0.1:9092"), "Kafka brokers, host:port,… (CREDITSTREAM_BROKERS)")
	topic := flag.String("topic", "credit.applications", "topic that applications go to")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: emit [flags] [FILE]\n\nWrites the applications in FILE (or on standard input), one JSON object a line, to Kafka.")
		flag.PrintDefaults()
	}
	flag.Parse()
	in := io.Reader(os.Stdin)
	if name := flag.Arg(0); name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}

	w := &kafka.Writer{
		Addr:  kafka.TCP(strings.Split(*brokers, ",")...),
		Topic: *topic,
		// An application_id belongs to one partition, whoever writes it. kafka-go
		// would deal records out in turn; murmur2 is what Kafka's own client does.
		Balancer: kafka.Murmur2Balancer{},
		// The default is not to wait at all.
		RequiredAcks: kafka.RequireAll,
		// A retry after a lost acknowledgement writes a record again: kafka-go has
		// no idempotent producer, so an application may be there twice and is then
		// decided twice. Whoever reads the decisions must expect that.
		MaxAttempts: 10,
		BatchSize:   batchSize,
		// One second by default, which the last applications would wait.
		BatchTimeout: 5 * time.Millisecond,
		Completion:   report,
	}
	emitted, err := emit(ctx, w, in)
	err = errors.Join(err, w.Close())
	fmt.Fprintf(os.Stderr, "emitted %d applications to %s\n", emitted, *topic)
	return err
}

// emit writes every application in the text; a signal ends it between two
// batches. The number is of those that Kafka has acknowledged.
func emit(ctx context.Context, w *kafka.Writer, in io.Reader) (emitted int, err error) {
	lines, failed := read(in)
	number := 0
	for {
		batch, err := next(ctx, lines, &number)
		if len(batch) > 0 {
			// What was begun is finished, also after Ctrl-C.
			delivery, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryTime)
			n, failure := deliver(delivery, w, batch)
			cancel()
			emitted += n
			err = errors.Join(err, failure)
		}
		switch {
		case err != nil || ctx.Err() != nil:
			return emitted, err
		case len(batch) == 0: // the end
			return emitted, <-failed
		}
	}
}

// read sends the lines of a text, then what went wrong reading them.
func read(in io.Reader) (lines <-chan string, failed <-chan error) {
	out, end := make(chan string), make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			out <- scanner.Text()
		}
		end <- scanner.Err()
		close(out)
	}()
	return out, end
}

// next takes the lines that are there, at least one unless the text has ended or
// a signal came. number counts lines. After an error the batch holds what came
// before it.
func next(ctx context.Context, lines <-chan string, number *int) (batch []kafka.Message, err error) {
	for len(batch) < batchSize {
		var (
			line string
			more bool
		)
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return nil, nil
			case line, more = <-lines:
			}
		} else {
			select {
			case line, more = <-lines:
			case <-time.After(time.Millisecond): // nobody waits for a batch to be full
			}
		}
		if !more {
			return batch, nil
		}
		*number++
		if strings.TrimSpace(line) == "" {
			continue
		}
		message, err := parse(line, time.Now())
		if err != nil {
			return batch, fmt.Errorf("line %d: %w", *number, err)
		}
		batch = append(batch, message)
	}
	return batch, nil
}

// deliver writes a batch and says how much of it Kafka has acknowledged.
func deliver(ctx context.Context, w *kafka.Writer, batch []kafka.Message) (acknowledged int, err error) {
	err = w.WriteMessages(ctx, batch...)
	var each kafka.WriteErrors // one for each message, nil for those that were written
	switch {
	case err == nil:
		return len(batch), nil
	case !errors.As(err, &each):
		return 0, err
	}
	var failures []error
	for i, failure := range each {
		if failure != nil {
			failures = append(failures, fmt.Errorf("application %s was not acknowledged: %w", batch[i].Key, failure))
		}
	}
	return len(batch) - len(failures), errors.Join(failures...)
}

// report prints where applications are.
func report(messages []kafka.Message, err error) {
	if err != nil {
		return // WriteMessages says so, too
	}
	for _, m := range messages {
		fmt.Printf("%s\t%s/%d/%d\n", m.Key, m.Topic, m.Partition, m.Offset)
	}
}

func environment(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
