package kafkatest

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Oversized appends a batch to a topic that is small as it is sent and unpacks to so many
// bytes and a few.
func Oversized(ctx context.Context, brokers []string, topic string, unpacked int) error {
	client, err := oversized(brokers, unpacked)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, blanks(topic, unpacked)).FirstErr()
}

// AbortedOversized is Oversized in a transaction of partition 0 that is aborted: the batch
// and a marker.
func AbortedOversized(ctx context.Context, brokers []string, topic string, unpacked int) error {
	client, err := oversized(brokers, unpacked, kgo.TransactionalID("oversized"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, blanks(topic, unpacked)).FirstErr(); err != nil {
		return err
	}
	return client.EndTransaction(ctx, kgo.TryAbort)
}

func blanks(topic string, n int) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte(" "), n)}
}

func oversized(brokers []string, unpacked int, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(int32(unpacked)+1<<20), kgo.MaxBufferedBytes(2*unpacked),
		kgo.BrokerMaxWriteBytes(int32(unpacked)+2<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
}
