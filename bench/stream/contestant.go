package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Contestants.
const (
	nameCopy         = "copy"
	nameCreditstream = "creditstream"
	namePython       = "python"
)

// task is what a contestant is started for.
type task struct {
	prefix string // of the topics
	group  string
	start  string // where it begins: start or end
}

func (t task) applications() string { return t.prefix + ".applications" }

// output is the topic that a contestant writes to.
func (t task) output(name string) string {
	if name == nameCopy || name == namePython {
		return t.prefix + "." + name
	}
	return t.prefix + ".predictions"
}

// contestants are those that take part.
func (b *bench) contestants() []string {
	names := slices.DeleteFunc([]string{nameCopy, nameCreditstream, namePython}, func(name string) bool {
		return !slices.Contains(b.only, name)
	})
	return append(names, slices.Sorted(maps.Keys(b.others))...)
}

func (b *bench) command(name string, t task) []string {
	switch name {
	case nameCopy:
		return []string{b.copy, "-brokers", b.brokers, "-from", t.applications(), "-to", t.output(name),
			"-group", t.group, "-start", t.start, "-sessions", strconv.Itoa(b.sessions)}
	case namePython:
		return []string{b.python, b.script, "--brokers", b.brokers, "--from", t.applications(), "--to", t.output(name),
			"--group", t.group, "--start", t.start, "--bundle", b.bundle}
	default:
		return []string{cmp.Or(b.others[name], b.binary), "score", "--brokers", b.brokers, "--prefix", t.prefix, "--model", b.bundle,
			"--group", t.group, "--instance", t.group, "--from", t.start, "--sessions", strconv.Itoa(b.sessions)}
	}
}

// process is a contestant that runs.
type process struct {
	*exec.Cmd
	name string
	log  string
	done chan error // its end, once; then closed
}

// begin starts a program with its output in a log.
func (b *bench) begin(name, group string, command []string) (*process, error) {
	log := filepath.Join(b.logs, group+".log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &process{Cmd: exec.Command(command[0], command[1:]...), name: name, log: log, done: make(chan error, 1)}
	p.Stdout, p.Stderr = out, out
	// Ctrl-C is for the benchmark, which then stops what it has started.
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = p.Start()
	_ = out.Close() // the process has its own
	if err != nil {
		return nil, err
	}
	go func() {
		p.done <- p.Wait()
		close(p.done)
	}()
	return p, nil
}

// ended is the error of a process that should still be running.
func (p *process) ended(err error) error {
	return fmt.Errorf("%s ended too early: %w; its log is %s", p.name, errors.Join(err), p.log)
}

// end stops a process and waits for it.
func (p *process) end() error {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		if err != nil {
			return fmt.Errorf("%s: %w; its log is %s", p.name, err, p.log)
		}
		return nil
	case <-time.After(30 * time.Second):
		_ = p.Process.Kill()
		return fmt.Errorf("%s did not stop within 30 s: %w; its log is %s", p.name, <-p.done, p.log)
	}
}

// prepare creates a prefix's topics, and the outputs of the others beside them
// with the same settings.
func (b *bench) prepare(ctx context.Context, prefix string, partitions int) error {
	apply := exec.CommandContext(ctx, b.binary, "topics", "apply", "--brokers", b.brokers, "--prefix", prefix,
		"--partitions", strconv.Itoa(partitions), "--replication", "1")
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("topics apply: %w: %s", err, out)
	}
	model := task{prefix: prefix}.output(nameCreditstream)
	settings, err := b.admin.DescribeTopicConfigs(ctx, model)
	if err != nil {
		return err
	}
	configs := map[string]*string{}
	for _, topic := range settings {
		for _, c := range topic.Configs {
			if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				configs[c.Key] = c.Value
			}
		}
	}
	have, err := b.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{nameCopy, namePython} {
		topic := task{prefix: prefix}.output(name)
		if have.Has(topic) {
			continue
		}
		if _, err := b.admin.CreateTopic(ctx, int32(partitions), 1, configs, topic); err != nil {
			return fmt.Errorf("creating %s: %w", topic, err)
		}
	}
	return nil
}

// produce emits n applications, at a rate or as fast as it goes (0).
func (b *bench) produce(ctx context.Context, prefix string, n, rate int) error {
	command := exec.CommandContext(ctx, b.binary, "produce", "--brokers", b.brokers, "--prefix", prefix,
		"--file", b.dataset, "--loop", "--count", strconv.Itoa(n), "--rate", strconv.Itoa(rate))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("produce: %w: %s", err, out)
	}
	return nil
}

// empty deletes what a topic holds, so that the disk does not fill.
func (b *bench) empty(ctx context.Context, topic string) error {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	deleted, err := b.admin.DeleteRecords(ctx, ends.Offsets())
	return errors.Join(err, deleted.Error())
}

// order is how contestants are shown: the known ones, then other builds.
func order[T any](runs map[string]T) (names []string) {
	known := []string{nameCopy, nameCreditstream, namePython}
	for _, name := range append(known, slices.Sorted(maps.Keys(runs))...) {
		if _, ran := runs[name]; ran && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// rounds is how often each contestant ran.
func rounds[T any](runs map[string][]T) int {
	for _, of := range runs {
		return len(of)
	}
	return 0
}
