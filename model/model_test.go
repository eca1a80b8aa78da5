package model

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
)

func TestShippedBundleAgreesWithTraining(t *testing.T) {
	m, err := Parse(shipped.Bundle, EngineAuto)
	require.NoError(t, err)
	require.Equal(t, EngineNative, m.Engine)
	require.NoError(t, m.Explains())
	require.Greater(t, m.Agreement.Rows, 100)
	require.Less(t, m.Agreement.Probability, ProbabilityTolerance)
	require.Less(t, m.Agreement.Contribution, ContributionTolerance)
	for _, protected := range []int{1, 3, 4} { // sex, marriage, age
		require.NotContains(t, m.Inputs, protected)
	}
	require.NotEqual(t, "UTILISATION", m.ReasonText("UTILISATION"))
	require.Equal(t, "NONE", m.ReasonText("NONE"))

	row := m.golden[0].row()
	out := make([]Result, 1)
	require.NoError(t, m.Evaluate(row, out))
	each, err := m.Contributions(row)
	require.NoError(t, err)
	sum := m.Manifest.ExpectedValue
	for _, c := range each {
		sum += c.Value
	}
	require.InDelta(t, float64(out[0].LogOdds), sum, 1e-5)
	require.Error(t, m.Evaluate(row[:5], out))
}

// SEX, MARRIAGE and AGE must not move a decision.
func TestProtectedFeaturesChangeNothing(t *testing.T) {
	m, err := Parse(shipped.Bundle, EngineNative)
	require.NoError(t, err)
	for _, g := range m.golden {
		a, b := g.row(), g.row()
		b[1], b[3], b[4] = 1, float32(math.NaN()), 99
		out := make([]Result, 2)
		require.NoError(t, m.Evaluate(append(a, b...), out))
		require.Equal(t, out[0], out[1])
	}
}

func TestBothEnginesAgree(t *testing.T) {
	onnxRuntime(t)
	m, err := Parse(shipped.Bundle, EngineONNX)
	require.NoError(t, err)
	defer m.Close()
	require.Equal(t, EngineONNX, m.Engine)
	native, err := Parse(shipped.Bundle, EngineNative)
	require.NoError(t, err)
	rows := make([]float32, 0, len(m.golden)*NumInputs)
	for _, g := range m.golden {
		rows = append(rows, g.row()...)
	}
	a, b := make([]Result, len(m.golden)), make([]Result, len(m.golden))
	require.NoError(t, m.Evaluate(rows, a))
	require.NoError(t, native.Evaluate(rows, b))
	for i := range a {
		require.InDelta(t, a[i].Probability, b[i].Probability, 1e-6)
		require.Equal(t, a[i].Groups, b[i].Groups)
	}
}

// repack writes a bundle with entries changed; the manifest's digests follow
// unless keepDigests.
func repack(t testing.TB, keepDigests bool, change func(files map[string][]byte)) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(shipped.Bundle), int64(len(shipped.Bundle)))
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, f := range z.File {
		files[f.Name], err = readEntry(f)
		require.NoError(t, err)
	}
	change(files)
	if !keepDigests {
		var m map[string]any
		require.NoError(t, json.Unmarshal(files["manifest.json"], &m))
		all := map[string]any{}
		for name, text := range files {
			if name != "manifest.json" {
				sum := sha256.Sum256(text)
				all[name] = map[string]any{"sha256": hex.EncodeToString(sum[:]), "bytes": len(text)}
			}
		}
		m["files"] = all
		files["manifest.json"], err = json.Marshal(m)
		require.NoError(t, err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, text := range files {
		e, err := w.Create(name)
		require.NoError(t, err)
		_, err = e.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func replace(name, old, with string) func(map[string][]byte) {
	return func(files map[string][]byte) {
		if !bytes.Contains(files[name], []byte(old)) {
			panic(name + " has no " + old)
		}
		files[name] = []byte(strings.Replace(string(files[name]), old, with, 1))
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		keep   bool
		change func(map[string][]byte)
		says   string
	}{
		{"a changed file", true, replace("card.md", "#", "##"), "card.md has"},
		{"a missing file", false, func(f map[string][]byte) { delete(f, "golden.json") }, "no golden.json"},
		{"an extra file", false, func(f map[string][]byte) { f["x"] = nil }, `an entry "x"`},
		{"another format", false, replace("manifest.json", `"format": 1`, `"format": 2`), "format is 2"},
		{"a bad version", false, replace("manifest.json", `"2026-11-23.1"`, `"a b"`), `"a b"`},
		{"an unknown group", false, replace("manifest.json", `"group": "LIMIT"`, `"group": "NONE"`), "NONE"},
		{"another base", false, replace("manifest.json", `"expected_value": -1`, `"expected_value": -2`), "expected_value"},
		{"another input order", false, replace("manifest.json", `"limit_bal"`, `"sex"`), `inputs[0] is "sex"`},
		{"wrong golden rows", false, replace("golden.json", `"probability":0.`, `"probability":0.9`), "disagrees with itself"},
		{"a broken graph", false, func(f map[string][]byte) { f["model.onnx"] = f["model.onnx"][:1000] }, "model.onnx"},
		{"a reference that does not add up", false, replace("reference.json", `"rows":24025`, `"rows":24026`), "reference.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := repack(t, c.keep, c.change)
			_, err := Parse(changed, EngineNative)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := Parse([]byte("not a zip"), EngineNative)
	require.ErrorContains(t, err, "not a model bundle")
	_, err = Parse(make([]byte, MaxBundle+1), EngineNative)
	require.ErrorContains(t, err, "at most")
	_, err = Parse(shipped.Bundle, "gpu")
	require.ErrorContains(t, err, "gpu")
}

// Entries of every kind behind right digests.
func FuzzParseEntry(f *testing.F) {
	z, err := zip.NewReader(bytes.NewReader(shipped.Bundle), int64(len(shipped.Bundle)))
	require.NoError(f, err)
	for i, e := range z.File {
		text, err := readEntry(e)
		require.NoError(f, err)
		f.Add(uint8(i), text)
	}
	f.Fuzz(func(t *testing.T, entry uint8, text []byte) {
		name := entries[int(entry)%len(entries)]
		b := repack(t, name == "manifest.json", func(files map[string][]byte) { files[name] = text })
		if m, err := Parse(b, EngineNative); err == nil {
			_ = m.Evaluate(make([]float32, NumInputs), make([]Result, 1))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(shipped.Bundle)
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m, err := Parse(b, EngineNative); err == nil {
			_ = m.Evaluate(make([]float32, NumInputs), make([]Result, 1))
		}
	})
}

func TestAnEntryThatUnpacksTooFarIsRefused(t *testing.T) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create("golden.json")
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 5<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.Less(t, out.Len(), 10<<10)
	_, err = Parse(out.Bytes(), EngineNative)
	require.ErrorContains(t, err, "golden.json: unpacks to more than 4194304 bytes")
}
