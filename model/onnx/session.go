//go:build cgo

package onnx

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// environment is set up once: ONNX Runtime keeps one per process.
var environment = sync.OnceValue(func() error {
	if path := os.Getenv(LibraryVariable); path != "" {
		ort.SetSharedLibraryPath(path)
	}
	if err := ort.InitializeEnvironment(); err != nil {
		return fmt.Errorf("ONNX Runtime: %w (set %s to libonnxruntime.so, release 1.27 or later; deploy/dev/onnxruntime.sh fetches it)", err, LibraryVariable)
	}
	return nil
})

// Session is a graph on ONNX Runtime. Its methods may be called from several
// goroutines; Close waits for them. One that is dropped without Close is freed by
// the garbage collector, never while a call runs.
type Session struct {
	mu      sync.RWMutex // Destroy is not reference-counted: a run holds it for reading
	session *ort.DynamicAdvancedSession
	inputs  int
	unused  runtime.Cleanup // frees the graph when nobody refers to the Session any more
}

// Open loads a graph with an input "features" [N, inputs] and an output
// "probabilities" [N, 2].
func Open(graph []byte, inputs int) (*Session, error) {
	if err := environment(); err != nil {
		return nil, err
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer func() { _ = options.Destroy() }()
	// Parallelism is several sessions' business, not one call's.
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(graph, []string{"features"}, []string{"probabilities"}, options)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	out := &Session{session: s, inputs: inputs}
	out.unused = runtime.AddCleanup(out, func(s *ort.DynamicAdvancedSession) { _ = s.Destroy() }, s)
	return out, nil
}

// Probabilities writes each row's probability of default. rows is row-major,
// inputs values each.
func (s *Session) Probabilities(rows, out []float32) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.session == nil {
		return errors.New("ONNX Runtime: the session is closed")
	}
	in, err := ort.NewTensor(ort.NewShape(int64(len(out)), int64(s.inputs)), rows)
	if err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer func() { _ = in.Destroy() }()
	both := make([]float32, 2*len(out))
	probabilities, err := ort.NewTensor(ort.NewShape(int64(len(out)), 2), both)
	if err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer func() { _ = probabilities.Destroy() }()
	if err := s.session.Run([]ort.Value{in}, []ort.Value{probabilities}); err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	for i := range out {
		out[i] = both[2*i+1]
	}
	return nil
}

// Close frees the graph once running calls have returned.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.unused.Stop()
		_ = s.session.Destroy()
		s.session = nil
	}
}
