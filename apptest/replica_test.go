//go:build chaos

package apptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// replica is a program that is started again whenever it ends, as a supervisor
// would. Its output goes to files.
type replica struct {
	name   string
	listen string // where it says whether it is ready; empty: nowhere
	binary string
	args   []string
	dir    string // of its logs

	mu      sync.Mutex
	process *process       // guarded by mu
	wanted  bool           // guarded by mu: it is to run
	starts  int            // guarded by mu
	exits   map[string]int // guarded by mu: how often it ended by itself, by its last words
}

// process is one run of it.
type process struct {
	cmd    *exec.Cmd
	stderr string // file
	ended  chan struct{}
}

const (
	// A replica that ended by itself is started again after this.
	restartPause = 500 * time.Millisecond
	// What a process may take to end after SIGTERM: its drain time and some more.
	termination = 30 * time.Second
)

func newReplica(dir, name, binary string, args ...string) *replica {
	return &replica{name: name, binary: binary, args: args, dir: dir, exits: map[string]int{}}
}

// start starts it and keeps it running.
func (r *replica) start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = true
	return r.launch()
}

// launch starts one process; the caller holds mu.
func (r *replica) launch() error {
	r.starts++
	stem := filepath.Join(r.dir, fmt.Sprintf("%s.%d", r.name, r.starts))
	stdout, err := os.Create(stem + ".out")
	if err != nil {
		return err
	}
	defer func() { _ = stdout.Close() }() // the process has its own
	stderr, err := os.Create(stem + ".log")
	if err != nil {
		return err
	}
	defer func() { _ = stderr.Close() }()
	p := &process{cmd: exec.Command(r.binary, r.args...), stderr: stem + ".log", ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", r.name, err)
	}
	r.process = p
	go r.watch(p)
	return nil
}

// watch waits for a process to end; when nobody made it, it is started again.
func (r *replica) watch(p *process) {
	_ = p.cmd.Wait() // its exit code is in ProcessState
	close(p.ended)
	r.mu.Lock()
	mine := r.wanted && r.process == p
	if mine {
		r.exits[p.why()]++
	}
	r.mu.Unlock()
	if !mine {
		return
	}
	time.Sleep(restartPause)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted && r.process == p {
		if err := r.launch(); err != nil {
			r.exits[err.Error()]++
		}
	}
}

// why is what a process said before it ended.
func (p *process) why() string {
	b, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Sprintf("%s: %s", p.cmd.ProcessState, lines[len(lines)-1])
}

// stop ends it with a signal and does not start it again. A process that does
// not end in time is killed, which is an error.
func (r *replica) stop(signal syscall.Signal) error {
	r.mu.Lock()
	r.wanted = false
	p := r.process
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		if signal == syscall.SIGTERM && p.cmd.ProcessState.ExitCode() != 0 {
			r.note(map[string]int{p.why(): 1})
		}
		return nil
	case <-time.After(termination):
		_ = p.cmd.Process.Kill() // it may just have ended
		<-p.ended
		return fmt.Errorf("%s does not end within %s of %s", r.name, termination, signal)
	}
}

// pause stops the process for a while, wherever it is.
func (r *replica) pause(lasting time.Duration) error {
	r.mu.Lock()
	p := r.process
	r.mu.Unlock()
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		if signal == syscall.SIGSTOP {
			time.Sleep(lasting)
		}
	}
	return nil
}

// note counts ends that others have seen.
func (r *replica) note(exits map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for why, n := range exits {
		r.exits[why] += n
	}
}

// ended says how often it ended by itself, by its last words.
func (r *replica) ended() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]int, len(r.exits))
	for why, n := range r.exits {
		all[why] = n
	}
	return all
}
