package apptest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	bits "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// shippedBundle is the file of the model that the binary has inside.
const shippedBundle = "../model/shipped/credit-default.bundle"

// bundle is one taken apart: a zip archive whose manifest has the digests of the
// other files.
type bundle struct {
	t        *testing.T
	files    map[string][]byte
	manifest map[string]any
}

func unpackShipped(t *testing.T) *bundle {
	archive, err := zip.OpenReader(shippedBundle)
	require.NoError(t, err)
	defer func() { _ = archive.Close() }() // was only read from
	b := &bundle{t: t, files: map[string][]byte{}}
	for _, f := range archive.File {
		entry, err := f.Open()
		require.NoError(t, err)
		b.files[f.Name], err = io.ReadAll(entry)
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal(b.files["manifest.json"], &b.manifest))
	return b
}

// lean moves every decision of the graph by so many log-odds, and returns by how
// many exactly: float32 holds the ensemble's base value.
func (b *bundle) lean(by float64) float64 {
	// An attribute of a node: its name, then its only float (field 7, four bytes).
	const attribute = "\x0a\x0bbase_values\x3d"
	graph := bytes.Clone(b.files["model.onnx"])
	require.Equal(b.t, 1, bytes.Count(graph, []byte(attribute)))
	at := graph[bytes.Index(graph, []byte(attribute))+len(attribute):]
	old := math.Float32frombits(bits.LittleEndian.Uint32(at))
	moved := float32(float64(old) + by)
	bits.LittleEndian.PutUint32(at, math.Float32bits(moved))
	b.files["model.onnx"] = graph
	return float64(moved) - float64(old)
}

// leanAll is lean together with what training would have recorded of that graph.
func (b *bundle) leanAll(by float64) *bundle {
	by = b.lean(by)
	b.manifest["expected_value"] = b.manifest["expected_value"].(float64) + by
	var golden map[string]any
	require.NoError(b.t, json.Unmarshal(b.files["golden.json"], &golden))
	for _, row := range golden["rows"].([]any) {
		r := row.(map[string]any)
		logOdds := r["log_odds"].(float64) + by
		r["log_odds"], r["probability"] = logOdds, 1/(1+math.Exp(-logOdds))
	}
	b.files["golden.json"] = b.encode(golden)
	return b
}

func (b *bundle) encode(v any) []byte {
	text, err := json.Marshal(v)
	require.NoError(b.t, err)
	return text
}

// pack is the bundle under a version, its digests right.
func (b *bundle) pack(version string) []byte {
	b.manifest["version"] = version
	digests := map[string]any{}
	for name, text := range b.files {
		if name != "manifest.json" {
			sum := sha256.Sum256(text)
			digests[name] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "bytes": len(text)}
		}
	}
	b.manifest["files"] = digests
	b.files["manifest.json"] = b.encode(b.manifest)
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(b.t, err)
		_, err = w.Write(b.files[name])
		require.NoError(b.t, err)
	}
	require.NoError(b.t, archive.Close())
	return out.Bytes()
}

// bundleFile is a file with a bundle in it.
func bundleFile(t *testing.T, content []byte) string {
	path := filepath.Join(t.TempDir(), "model.bundle")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// leaning is a bundle that decides as the shipped one does, moved by so many
// log-odds.
func leaning(t *testing.T, version string, by float64) (content []byte) {
	return unpackShipped(t).leanAll(by).pack(version)
}
