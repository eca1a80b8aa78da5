package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/creditstream/creditstream/internal/app"
)

// scorerProcess runs `creditstream score` as a child, so that it can be killed
// and be seen to come back. It is a lifecycle.Component.
type scorerProcess struct {
	binary string
	args   []string
	listen string // its telemetry's host:port
	log    *slog.Logger
	stderr io.Writer
	said   func(pid int) // called with each child's

	mu       sync.Mutex // guards what follows
	pid      int        // 0 while none runs
	restarts int
}

// restartPause is how long a scorer that ended stays away.
const restartPause = time.Second

// Name is part of lifecycle.Component.
func (*scorerProcess) Name() string { return "scorer" }

// Ready asks the child.
func (s *scorerProcess) Ready() error {
	if pid, _ := s.state(); pid == 0 {
		return errors.New("not running")
	}
	client := http.Client{Timeout: time.Second}
	r, err := client.Get("http://" + s.listen + "/readyz")
	if err != nil {
		return errors.New("starting")
	}
	defer func() { _ = r.Body.Close() }() // was only read from
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		return fmt.Errorf("%s", text)
	}
	return nil
}

func (s *scorerProcess) state() (pid, restarts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid, s.restarts
}

// Run keeps a scorer running until ctx ends, then stops it as SIGTERM does.
func (s *scorerProcess) Run(ctx context.Context) error {
	for {
		ended := s.once(ctx)
		if ctx.Err() != nil {
			return ended
		}
		s.log.Warn("the scorer ended; nothing is lost, another continues where it stopped", "how", ended, "again_in", restartPause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartPause):
		}
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
	}
}

// once runs one child to its end. When ctx ended it, the error is nil unless it
// did not drain.
func (s *scorerProcess) once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.binary, s.args...)
	cmd.Stdout, cmd.Stderr = s.stderr, s.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = app.DrainTime
	// The child ends with its standard input, so that it does not outlive a
	// parent that was killed.
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer func() { _ = lifeline.Close() }() // Wait may have closed it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the scorer: %w", err)
	}
	s.mu.Lock()
	s.pid = cmd.Process.Pid
	s.mu.Unlock()
	s.said(cmd.Process.Pid)
	err = cmd.Wait()
	s.mu.Lock()
	s.pid = 0
	s.mu.Unlock()
	if ctx.Err() != nil && cmd.ProcessState.Success() {
		return nil
	}
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// thisBinary is the path of the program that runs.
func thisBinary() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("looking for this program's file to run the scorer from: %w", err)
	}
	return path, nil
}
