// Package capture keeps what a test has written to it, so that it can be looked at
// while whoever writes goes on.
package capture

import (
	"bytes"
	"sync"
)

// Output is an io.Writer for several goroutines. Its zero value holds nothing.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write is part of io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String is what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
