package schemas

import "encoding/json"

// HeaderStarted is on the tombstone of a replica that stopped: when the process
// that writes it was started. Another process may go on under the same name.
const HeaderStarted = "started"

// Replica is what one running component says of itself, once a second (topic
// replicas, keyed by ReplicaKey). Counters are those of its process, from 0.
type Replica struct {
	Component   string         `json:"component" own:"filled"` // score, api, view, produce, drift
	Instance    string         `json:"instance" own:"filled"`  // its name, unique among the components of its kind
	Host        string         `json:"host"`
	Version     string         `json:"version"` // of the program
	Started     Timestamp      `json:"started"` // with component and instance: one process
	At          Timestamp      `json:"at"`      // when it said this
	Ready       bool           `json:"ready"`
	Reason      string         `json:"reason"`           // why it is not ready; empty when it is
	Pending     string         `json:"pending"`          // what it waits for though it is ready; empty: nothing
	Models      *ReplicaModels `json:"models,omitempty"` // nil: it serves none
	Decisions   DecisionCounts `json:"decisions"`
	DeadLetters int64          `json:"dead_letters"`
	Errors      int64          `json:"errors"` // what had to be done again, or was given up
	Recent      ReplicaStretch `json:"recent"` // the last seconds
	Total       ReplicaStretch `json:"total"`  // since it was started
	Lag         []PartitionLag `json:"lag"`    // of the partitions it owns; empty where it has no group
}

// ReplicaModels is which models a replica serves, and why not others.
type ReplicaModels struct {
	RouteRevision  int64     `json:"route_revision" own:"-1"`  // in force, -1 where none is
	NewestRevision int64     `json:"newest_revision" own:"-1"` // that it has read, -1 where it has read none
	Champion       string    `json:"champion"`                 // version; empty while nothing serves
	Canary         string    `json:"canary"`                   // version; empty without one
	Shadow         string    `json:"shadow"`                   // version; empty without one
	Pending        string    `json:"pending"`                  // why the newest route is not in force; empty when it is
	Refused        []Refusal `json:"refused"`                  // bundles that routes named and that cannot serve
}

// Refusal is a bundle that cannot serve, and why.
type Refusal struct {
	ModelVersion string `json:"model_version" own:"filled"`
	Reason       string `json:"reason"`
}

// DecisionCounts are decisions by kind.
type DecisionCounts struct {
	Approve int64 `json:"approve"`
	Refer   int64 `json:"refer"`
	Decline int64 `json:"decline"`
}

// ReplicaStretch is what was done in a stretch of time.
type ReplicaStretch struct {
	Seconds float64 `json:"seconds"` // how long it is
	Records int64   `json:"records"`
	Latency []byte  `json:"latency"` // a DDSketch of seconds in its own binary encoding, base64; empty: nothing was timed
}

// PartitionLag is how many committed offsets of a partition are not done yet.
type PartitionLag struct {
	Partition int32 `json:"partition"`
	Offsets   int64 `json:"offsets"`
}

// ReplicaKey is what a replica's records are keyed by.
func ReplicaKey(component, instance string) string { return component + "/" + instance }

// AppendReplica appends the replica as it stands on the wire. It panics on a number
// that JSON does not have.
func AppendReplica(dst []byte, r *Replica) []byte {
	wire := *r
	wire.Lag = filled(wire.Lag)
	wire.Recent.Latency, wire.Total.Latency = filled(wire.Recent.Latency), filled(wire.Total.Latency)
	if wire.Models != nil {
		models := *wire.Models
		models.Refused = filled(models.Refused)
		wire.Models = &models
	}
	b, err := json.Marshal(&wire)
	if err != nil {
		panic(err)
	}
	return append(dst, b...)
}

// DecodeReplica reads what a replica said. The error is a *DecodeError or a
// *ContractError.
func DecodeReplica(value []byte, r *Replica) error {
	*r = Replica{}
	return decodeOwn(value, r)
}
