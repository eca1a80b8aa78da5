package kafkatest

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Oversized appends a batch to a topic that is small as it is sent and unpacks to so many
// bytes and a few.
func Oversized(ctx context.Context, brokers []string, topic string, unpacked int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(int32(unpacked)+1<<20), kgo.MaxBufferedBytes(2*unpacked),
		kgo.BrokerMaxWriteBytes(int32(unpacked)+2<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte(" "), unpacked)}).FirstErr()
}
