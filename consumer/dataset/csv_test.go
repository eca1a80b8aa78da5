package dataset

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

// Whatever an id looks like, a row is read back as it was written.
func FuzzARowIsReadBack(f *testing.F) {
	f.Add("A-000123", int32(7), int32(-3), uint8(1))
	f.Add(`a "b", c`, int32(0), int32(1_000_000), uint8(2))
	f.Add(" ", int32(1), int32(2), uint8(1))
	f.Add(" ;'\u00a0ü\\.", int32(-9), int32(3), uint8(0))
	path := filepath.Join(f.TempDir(), strconv.Itoa(os.Getpid())+".csv")
	f.Fuzz(func(t *testing.T, id string, seed, step int32, missing uint8) {
		if !utf8.ValidString(id) || !schemas.ValidApplicationID([]byte(id)) {
			return
		}
		p := schemas.Prediction{ApplicationID: id, AppliedAt: 1, DecidedAt: 2, ModelVersion: "v1", DefaultProbability: 0.5, Decision: schemas.Refer}
		for k, rule := range schemas.FeatureRules {
			span := int64(rule.Max) - int64(rule.Min) + 1
			v := (int64(seed) + int64(k)*int64(step)) % span
			if v < 0 {
				v += span
			}
			p.Features[k] = rule.Min + int32(v)
		}
		p.Features[int(missing)%schemas.NumFeatures] = schemas.Missing
		defaulted := int8(missing%3) - 1
		var out bytes.Buffer
		w, err := NewWriter(&out)
		require.NoError(t, err)
		require.NoError(t, w.Write(&p, defaulted))
		require.NoError(t, w.Flush())
		require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))

		rows, err := producer.OpenRows(path, "")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		require.True(t, rows.HasLabel())
		var a schemas.Application
		require.NoError(t, rows.Next(&a))
		require.Equal(t, id, a.ApplicationID)
		require.Equal(t, p.Features, a.Features)
		require.Equal(t, defaulted, rows.Defaulted())
		require.ErrorIs(t, rows.Next(&a), io.EOF)
	})
}
