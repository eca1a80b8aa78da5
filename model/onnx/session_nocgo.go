//go:build !cgo

package onnx

import "errors"

// Session is a graph on ONNX Runtime; there is none in a build without cgo.
type Session struct{}

// Open says that this build has no ONNX Runtime.
func Open([]byte, int) (*Session, error) {
	return nil, errors.New("this build has no ONNX Runtime: build with CGO_ENABLED=1 and a C compiler (make build-onnx), or use --engine native")
}

// Probabilities is never reached: Open gives no session.
func (*Session) Probabilities(_, _ []float32) error { return errors.New("no ONNX Runtime") }

// Close does nothing.
func (*Session) Close() {}
