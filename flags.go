package main

import (
	"os"

	"github.com/creditstream/creditstream/internal/kafka"
)

// kafkaFlags say which cluster a command talks to.
type kafkaFlags struct {
	Brokers []string `help:"Kafka brokers." default:"127.0.0.1:9092" placeholder:"HOST:PORT,…" group:"Kafka"`
	Prefix  string   `help:"Prefix of every topic, group and transactional id." default:"credit" group:"Kafka"`
}

func (f kafkaFlags) config(p *process, clientID string) kafka.Config {
	return kafka.Config{Brokers: f.Brokers, Prefix: f.Prefix, ClientID: "creditstream-" + clientID, Log: p.log}
}

// redisFlags say which Redis a command talks to.
type redisFlags struct {
	Redis string `help:"Redis." default:"127.0.0.1:6379" placeholder:"HOST:PORT" group:"Redis"`
}

// listenFlags say where a component shows /metrics, /healthz and /readyz.
type listenFlags struct {
	Listen string `help:"Where /metrics, /healthz and /readyz are served; empty: nowhere." default:"" placeholder:"HOST:PORT"`
}

// instanceFlags name this process among the replicas of a component.
type instanceFlags struct {
	Instance string `help:"Name of this replica, unique in its group and the same after a restart (default: the host name)." placeholder:"NAME"`
}

func (f instanceFlags) name() (string, error) {
	if f.Instance != "" {
		return f.Instance, nil
	}
	return os.Hostname()
}
