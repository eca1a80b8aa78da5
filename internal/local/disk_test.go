package local

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A disk without room is named, with the folder.
func TestKafka_SaysWhyItCannotWrite(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	k, err := StartKafka(dir)
	require.NoError(t, err)
	defer k.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.DefaultProduceTopic("t"), kgo.RecordRetries(0))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t")
	require.NoError(t, err)
	require.NoError(t, k.Failure())
	logs := filepath.Join(dir, "partitions", "t-0")
	require.NoError(t, os.MkdirAll(logs, 0o755))
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(logs, "0.dat")))
	require.Error(t, client.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr())
	<-k.Failed()
	require.ErrorIs(t, k.Failure(), syscall.ENOSPC)
	require.ErrorContains(t, k.Failure(), dir)
}
