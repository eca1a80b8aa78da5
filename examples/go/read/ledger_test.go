package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func record(offset int64, headers ...kgo.RecordHeader) *kgo.Record {
	return &kgo.Record{
		Topic: "credit.predictions", Partition: 3, Offset: offset, Headers: headers,
		Value: []byte(`{"application_id": "A", "decision": "approve", "points": 530}`),
	}
}

func source(offset string) []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "source-topic", Value: []byte("credit.applications")},
		{Key: "source-partition", Value: []byte("3")},
		{Key: "source-offset", Value: []byte(offset)},
	}
}

func TestADecisionIsKeptOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions")
	l, err := openLedger(path)
	require.NoError(t, err)
	require.NoError(t, l.add(record(10, source("7")...)))
	require.NoError(t, l.add(record(11, source("7")...)), "copied to another place")
	require.NoError(t, l.add(record(12, source("8")...)))
	require.NoError(t, l.add(record(13)), "asked for over HTTP")
	require.NoError(t, l.add(record(13)))
	require.NoError(t, l.close())

	l, err = openLedger(path)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"credit.applications/3/7": true, "credit.applications/3/8": true, "credit.predictions/3/13": true}, l.keys)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, l.add(record(14, source("8")...)))
	require.NoError(t, l.sync())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, l.close())
}

func TestWhatIsNoJSONIsSaid(t *testing.T) {
	l, err := openLedger(filepath.Join(t.TempDir(), "decisions"))
	require.NoError(t, err)
	defer func() { require.NoError(t, l.close()) }()
	r := record(1)
	r.Value = []byte{0, 0, 0, 0, 1, 2}
	require.ErrorContains(t, l.add(r), "Avro")
	r.Value = []byte("x")
	require.Error(t, l.add(r))
	require.Empty(t, l.keys)
}
