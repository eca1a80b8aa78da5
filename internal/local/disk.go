package local

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// disk notes why the broker could not write: its answer to a client is
// UNKNOWN_SERVER_ERROR, and only its log says more. It is a kfake.Logger.
type disk struct {
	dir    string
	failed chan struct{} // closed by the first failure
	mu     sync.Mutex    // guards err
	err    error
}

// Logf is part of kfake.Logger.
func (d *disk) Logf(_ kfake.LogLevel, _ string, args ...any) {
	for _, arg := range args {
		err, ok := arg.(error)
		var cause syscall.Errno
		if !ok || !errors.As(err, &cause) {
			continue
		}
		switch cause { //nolint:exhaustive // only what a disk or its limits say
		case syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM:
			d.note(cause)
		}
	}
}

func (d *disk) note(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = fmt.Errorf("the embedded Kafka cannot write to %s: %w", d.dir, cause)
		close(d.failed)
	}
}

func (d *disk) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Failed is closed when the broker could not write to its directory; Failure then says
// why, and in which.
func (k *Kafka) Failed() <-chan struct{} { return k.disk.failed }

// Failure is why the broker could not write, nil while it can.
func (k *Kafka) Failure() error { return k.disk.failure() }
