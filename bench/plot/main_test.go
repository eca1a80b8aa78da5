package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlotIsDrawnFromWhatThereIs(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	file := filepath.Join(folder, "out.svg")
	require.Error(t, run(folder, file), "there is nothing yet")
	write("stream.json", `{"throughput":[{"records":1000000,"runs":{
		"copy":[{"per_second":300000,"cpu_seconds_per_million":1.5,"broker_cpu_seconds_per_million":2}],
		"creditstream":[{"per_second":210000,"cpu_seconds_per_million":3,"broker_cpu_seconds_per_million":2},{"per_second":230000,"cpu_seconds_per_million":3,"broker_cpu_seconds_per_million":2}]}}]}`)
	write("latency.json", `{"latency":[{"rate":2000,"runs":{"copy":[{"p50_ms":12,"p99_ms":31}],"python":[{"p50_ms":22,"p99_ms":44}]}}]}`)
	require.NoError(t, run(folder, file))
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(svg), "220,000", "the median of two rounds")
	require.Contains(t, string(svg), ">44.0<")
	require.NotContains(t, string(svg), "NaN")
	parser := xml.NewDecoder(strings.NewReader(string(svg)))
	for err == nil {
		_, err = parser.Token()
	}
	require.ErrorIs(t, err, io.EOF, "not XML")
}
