package release

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// summing is the shipped bundle with its additions written as Sum: the same
// numbers, from an operator that the native engine does not have.
func summing(t *testing.T, version string) []byte {
	z, err := zip.NewReader(bytes.NewReader(shipped.Bundle), int64(len(shipped.Bundle)))
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		files[f.Name], err = io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
	}
	const opType = "\x22\x03" // field 4 of NodeProto, three bytes
	require.Contains(t, string(files["model.onnx"]), opType+"Add")
	files["model.onnx"] = bytes.ReplaceAll(files["model.onnx"], []byte(opType+"Add"), []byte(opType+"Sum"))
	var m model.Manifest
	require.NoError(t, json.Unmarshal(files["manifest.json"], &m))
	m.Version = version
	sum := sha256.Sum256(files["model.onnx"])
	m.Files["model.onnx"] = model.File{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(files["model.onnx"]))}
	files["manifest.json"], err = json.Marshal(&m)
	require.NoError(t, err)
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

func TestAGraphThatCannotGiveReasonsIsRefusedByItsOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	first := w.champion(-1, "v1")
	f, _ := w.follow(nil)
	w.serves(f, first, "v1")
	bundle := summing(t, "v2")
	_, err := Release(t.Context(), w.config, w.topics, bundle, model.EngineNative, "a test")
	require.ErrorContains(t, err, "Sum")
	w.put("v2", bundle)
	_, err = Route(t.Context(), w.config, w.topics, RouteRequest{Change: Change{Champion: "v1", Canary: "v2", CanaryShare: 5, Policy: policy.DefaultText}, Expect: &first, Engine: model.EngineAuto})
	require.ErrorContains(t, err, "Sum")
	w.putRoute(schemas.Route{Champion: "v2"})
	w.eventually(func() bool { return len(f.Status().Refused) == 1 }, "refused")
	require.Contains(t, f.Status().Refused[0].Reason, "Sum")
	require.Equal(t, "v1", f.Live().Champion.Version)
}

// It needs the ONNX Runtime library: `make test-onnx` fetches it and sets
// CREDITSTREAM_ONNXRUNTIME.
func TestTheOtherEngineMayRunAShadow(t *testing.T) {
	t.Parallel()
	if _, asked := os.LookupEnv("CREDITSTREAM_ONNXRUNTIME"); !asked {
		t.Skip("CREDITSTREAM_ONNXRUNTIME is not set; make test-onnx sets it")
	}
	w := newWorld(t)
	w.createTopics()
	w.release("v1")
	f, _ := w.follow(nil)
	_, err := Release(t.Context(), w.config, w.topics, summing(t, "v2"), model.EngineONNX, "a test")
	require.NoError(t, err)
	first := w.route(-1, func(r *RouteRequest) { r.Champion, r.Shadow = "v1", "v2" })
	w.serves(f, first, "v1")
	old := f.Live()
	require.Equal(t, model.EngineONNX, old.Shadow.Engine)
	_, err = Route(t.Context(), w.config, w.topics, RouteRequest{Change: Change{Champion: "v2", Policy: policy.DefaultText}, Expect: &first, Engine: model.EngineAuto})
	require.ErrorContains(t, err, "model v2 is refused: as champion")
	require.ErrorContains(t, err, "Sum")

	// The old set is in use after it no longer serves.
	w.serves(f, w.champion(first, "v1"), "v1")
	require.Nil(t, f.Live().Shadow)
	a, b := make([]model.Result, 1), make([]model.Result, 1)
	row := make([]float32, model.NumInputs)
	for range 100 {
		require.NoError(t, old.Shadow.Evaluate(row, a))
		require.NoError(t, old.Champion.Evaluate(row, b))
		require.InDelta(t, b[0].Probability, a[0].Probability, 1e-6)
	}
}
