package model

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

func TestTheSameGraphAgainstAnotherReference(t *testing.T) {
	m, err := Parse(shipped.Bundle, EngineNative)
	require.NoError(t, err)
	counter := NewReferenceCounter(m.Reference)
	row := schemas.Features{200000, 2, schemas.Missing, 1, 34}
	row[5] = 12 // pay_0 ends at 9
	counter.Add(&row, -1.25)
	r := counter.Reference()
	counter.Add(&row, -1.25)
	require.Equal(t, int64(1), r.Rows, "what is counted later does not change it")
	require.Equal(t, []int64{0, 1}, r.Features[1].Counts, "sex 2 is at the edge 2: in the bin above")
	require.Equal(t, int64(1), r.Features[2].Missing)
	require.Equal(t, int64(1), r.Features[5].OutOfRange)
	require.Equal(t, int64(1), r.Scores.Counts[r.Scores.Bin(-1.25)])

	changed, err := WithReference(shipped.Bundle, "demo.1", r)
	require.NoError(t, err)
	again, err := WithReference(shipped.Bundle, "demo.1", r)
	require.NoError(t, err)
	require.Equal(t, changed, again)
	n, err := Parse(changed, EngineNative)
	require.NoError(t, err)
	require.Equal(t, "demo.1", n.Version)
	require.Equal(t, r, n.Reference)
	require.Equal(t, m.Manifest.Files["model.onnx"], n.Manifest.Files["model.onnx"])
	require.Equal(t, m.Manifest.CreatedAt, n.Manifest.CreatedAt)
	require.JSONEq(t, string(m.Manifest.Training), string(n.Manifest.Training))

	_, err = WithReference(shipped.Bundle, m.Version, r)
	require.ErrorContains(t, err, "another version")
	_, err = WithReference(shipped.Bundle, "a b", r)
	require.ErrorContains(t, err, "a b")
	r.Rows++
	_, err = WithReference(shipped.Bundle, "demo.2", r)
	require.ErrorContains(t, err, "reference.json")
}

// Training's own bundle comes out byte for byte but for what was changed.
func TestPackingWritesWhatTrainingWrites(t *testing.T) {
	manifest, files, err := unpack(shipped.Bundle)
	require.NoError(t, err)
	_, err = pack(manifest, files)
	require.NoError(t, err)
	require.JSONEq(t, string(mustMarshal(t, manifest)), string(files["manifest.json"]))
}

func mustMarshal(t *testing.T, m *Manifest) []byte {
	text, err := marshal(m, " ")
	require.NoError(t, err)
	return text
}

func TestValuesFallIntoTheBinFromTheirEdgeOn(t *testing.T) {
	d := Distribution{Edges: []float64{-1, 0, 5}}
	for v, bin := range map[float64]int{-2: 0, -1: 1, -0.5: 1, 0: 2, 4: 2, 5: 3, 9: 3} {
		require.Equal(t, bin, d.Bin(v), v)
	}
}

func TestManifestIsReadWithoutCompiling(t *testing.T) {
	m, r, err := ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	opened, err := Parse(shipped.Bundle, EngineNative)
	require.NoError(t, err)
	require.Equal(t, opened.Manifest, m)
	require.Equal(t, opened.Reference, r)
	_, _, err = ReadManifest(repack(t, true, replace("card.md", "#", "##")))
	require.ErrorContains(t, err, "card.md")
}
