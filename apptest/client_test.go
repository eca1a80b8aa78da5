package apptest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newClient is a client that asks a cluster how it is. It judges no records: that
// is for a client that has nothing in common with the product's.
func newClient(t *testing.T, s servers) *kgo.Client {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...), kgo.MetadataMinAge(250*time.Millisecond), kgo.DialTimeout(3*time.Second))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// behind is how many records of a topic, which is not written in transactions, a
// group has not committed.
func behind(ctx context.Context, client *kgo.Client, group, topic string) (int64, error) {
	adm := kadm.NewClient(client)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, err
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	left := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if o, ok := committed.Lookup(topic, end.Partition); ok {
			at = max(o.At, 0)
		}
		left += end.Offset - at
	})
	return left, nil
}
