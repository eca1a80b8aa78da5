// Package local runs Kafka and Redis inside this process, for the demo and for
// tests. Outside clients can reach both.
package local

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka is an embedded broker.
type Kafka struct {
	cluster *kfake.Cluster
	disk    *disk
	lock    *os.File // held while the data directory is in use; nil in memory
}

// Port makes the broker listen on this port, so that outside clients find it again
// after a restart.
func Port(port int) kfake.Opt { return kfake.Ports(port) }

// cleanInterval is how often retention and compaction look at the logs.
const cleanInterval = 5 * time.Second

// Bounded are a topic's settings with its retention cut to an age and to bytes per
// partition, and with segments small enough that both are kept to: whole segments
// are deleted. A compacted topic keeps its settings but for the segments.
func Bounded(settings map[string]string, age time.Duration, bytes int64) map[string]string {
	bounded := maps.Clone(settings)
	bounded["segment.bytes"] = strconv.FormatInt(max(bytes/4, smallestSegment), 10)
	if bounded["cleanup.policy"] == "delete" && bounded["retention.ms"] != "-1" {
		bounded["retention.ms"] = strconv.FormatInt(age.Milliseconds(), 10)
		bounded["retention.bytes"] = strconv.FormatInt(bytes, 10)
	}
	return bounded
}

const smallestSegment = 64 << 10

// StartKafka starts a broker on a free loopback port, or on Port's. Its logs are
// kept in dir, which it locks, or in memory where dir is empty. Options are
// kfake's.
func StartKafka(dir string, options ...kfake.Opt) (*Kafka, error) {
	k := &Kafka{disk: &disk{dir: dir, failed: make(chan struct{})}}
	opts := []kfake.Opt{
		kfake.WithLogger(k.disk),
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{
			// One hour by default: a demo's topics would grow far past their
			// retention before the first look.
			"log.cleaner.backoff.ms": strconv.FormatInt(cleanInterval.Milliseconds(), 10),
			// 3 s by default: the first member of every new group waits this long.
			"group.initial.rebalance.delay.ms": "0",
		}),
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("embedded Kafka: %w", err)
		}
		lock, err := lockDir(dir)
		if err != nil {
			return nil, err
		}
		k.lock = lock
		opts = append(opts, kfake.DataDir(dir))
	}
	cluster, err := kfake.NewCluster(append(opts, options...)...)
	if err != nil {
		k.unlock()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("embedded Kafka: %w; choose another port", err)
		}
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	k.cluster = cluster
	return k, nil
}

// lockDir takes the directory for this process: two brokers on one set of logs
// would corrupt both.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("embedded Kafka: %s is in use by another process: stop that one, or choose another directory", dir)
	}
	return f, nil
}

func (k *Kafka) unlock() {
	if k.lock != nil {
		_ = k.lock.Close()
	}
}

// Addr is the broker's host:port.
func (k *Kafka) Addr() string { return k.cluster.ListenAddrs()[0] }

// Cluster is the broker itself, for tests that break it.
func (k *Kafka) Cluster() *kfake.Cluster { return k.cluster }

// Close stops the broker; what it was told is on disk.
func (k *Kafka) Close() {
	k.cluster.Close()
	k.unlock()
}
