package main

import (
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

// listenFlags say where a component shows /metrics, /healthz and /readyz.
type listenFlags struct {
	Listen string `help:"Where /metrics, /healthz and /readyz are served; empty: nowhere." default:"" placeholder:"HOST:PORT"`
}
