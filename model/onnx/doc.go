// Package onnx runs any model graph on ONNX Runtime, in a cgo build. The shared
// library is found at the path in CREDITSTREAM_ONNXRUNTIME, or by the system's
// loader; at least release 1.27 (older ones round LOGISTIC otherwise).
package onnx

// LibraryVariable names the environment variable with the shared library's path.
const LibraryVariable = "CREDITSTREAM_ONNXRUNTIME"
