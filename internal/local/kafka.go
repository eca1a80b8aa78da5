// Package local runs Kafka and Redis inside this process, for the demo and for
// tests. Outside clients can reach both.
package local

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka is an embedded broker.
type Kafka struct {
	cluster *kfake.Cluster
	lock    *os.File // held while the data directory is in use; nil in memory
}

// StartKafka starts a broker on a free loopback port. Its logs are kept in dir,
// which it locks, or in memory where dir is empty. Options are kfake's.
func StartKafka(dir string, options ...kfake.Opt) (*Kafka, error) {
	k := &Kafka{}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{
			// One hour by default: a demo's topics would grow far past their
			// retention before the first look.
			"log.cleaner.backoff.ms": "5000",
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
		return nil, fmt.Errorf("embedded Kafka: %s is in use by another process", dir)
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
