package schemas

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
)

// HeaderStarted is on the tombstone of a replica that stopped: when the process
// that writes it was started. Another process may go on under the same name.
const HeaderStarted = "started"

// Replica is what one running component says of itself, once a second (topic
// replicas, keyed by ReplicaKey). Counters are those of its process, from 0.
type Replica struct {
	Component   string         `json:"component"` // score, api, view, produce, drift
	Instance    string         `json:"instance"`  // its name, unique among the components of its kind
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
	RouteRevision  int64     `json:"route_revision"`  // in force, -1 where none is
	NewestRevision int64     `json:"newest_revision"` // that it has read, -1 where it has read none
	Champion       string    `json:"champion"`        // version; empty while nothing serves
	Canary         string    `json:"canary"`          // version; empty without one
	Shadow         string    `json:"shadow"`          // version; empty without one
	Pending        string    `json:"pending"`         // why the newest route is not in force; empty when it is
	Refused        []Refusal `json:"refused"`         // bundles that routes named and that cannot serve
}

// Refusal is a bundle that cannot serve, and why.
type Refusal struct {
	ModelVersion string `json:"model_version"`
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
	if wire.Lag == nil { // the contract has empty arrays, no null
		wire.Lag = []PartitionLag{}
	}
	if wire.Recent.Latency == nil {
		wire.Recent.Latency = []byte{}
	}
	if wire.Total.Latency == nil {
		wire.Total.Latency = []byte{}
	}
	if wire.Models != nil && wire.Models.Refused == nil {
		models := *wire.Models
		models.Refused = []Refusal{}
		wire.Models = &models
	}
	b, err := json.Marshal(&wire)
	if err != nil {
		panic(err)
	}
	return append(dst, b...)
}

var (
	replicaNames = []string{
		"component", "instance", "host", "version", "started", "at", "ready", "reason", "pending", "models",
		"decisions", "dead_letters", "errors", "recent", "total", "lag",
	}
	replicaModelsNames  = []string{"route_revision", "newest_revision", "champion", "canary", "shadow", "pending", "refused"}
	refusalNames        = []string{"model_version", "reason"}
	decisionCountNames  = []string{Approve, Refer, Decline}
	replicaStretchNames = []string{"seconds", "records", "latency"}
	partitionLagNames   = []string{"partition", "offsets"}
)

const (
	optionalModels = 1 << 9 // "models" in replicaNames
	base64Rule     = "must be base64"
)

// DecodeReplica reads what a replica said. The error is a *DecodeError or a
// *ContractError.
func DecodeReplica(value []byte, p *Replica) error {
	*p = Replica{}
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", replicaNames, func(i int) { r.replicaMember(p, i) })
	r.require("", replicaNames, seen, optionalModels)
	return r.done()
}

func (r *reader) replicaMember(p *Replica, i int) {
	switch name := replicaNames[i]; name {
	case "component":
		r.stringInto(name, &p.Component, notEmpty, notEmptyRule)
	case "instance":
		r.stringInto(name, &p.Instance, notEmpty, notEmptyRule)
	case "host":
		r.stringInto(name, &p.Host, anyText, textRule)
	case "version":
		r.stringInto(name, &p.Version, anyText, textRule)
	case "started":
		r.timestampInto(name, &p.Started)
	case "at":
		r.timestampInto(name, &p.At)
	case "ready":
		p.Ready = r.boolInto(name)
	case "reason":
		r.stringInto(name, &p.Reason, anyText, textRule)
	case "pending":
		r.stringInto(name, &p.Pending, anyText, textRule)
	case "models":
		p.Models = r.replicaModelsInto()
	case "decisions":
		r.decisionCountsInto(&p.Decisions)
	case "dead_letters":
		p.DeadLetters = r.integerInto(name, 0, math.MaxInt64)
	case "errors":
		p.Errors = r.integerInto(name, 0, math.MaxInt64)
	case "recent":
		r.replicaStretchInto(name, &p.Recent)
	case "total":
		r.replicaStretchInto(name, &p.Total)
	case "lag":
		r.lagInto(p)
	}
}

func (r *reader) replicaModelsInto() *ReplicaModels {
	if !r.object("models", 1, objectRule) {
		return nil
	}
	m := &ReplicaModels{}
	seen := r.members(2, "models.", replicaModelsNames, func(i int) {
		switch field := "models." + replicaModelsNames[i]; i {
		case 0:
			m.RouteRevision = r.integerInto(field, -1, math.MaxInt64)
		case 1:
			m.NewestRevision = r.integerInto(field, -1, math.MaxInt64)
		case 2:
			r.stringInto(field, &m.Champion, anyText, textRule)
		case 3:
			r.stringInto(field, &m.Canary, anyText, textRule)
		case 4:
			r.stringInto(field, &m.Shadow, anyText, textRule)
		case 5:
			r.stringInto(field, &m.Pending, anyText, textRule)
		case 6:
			r.refusedInto(field, m)
		}
	})
	r.require("models.", replicaModelsNames, seen, 0)
	return m
}

func (r *reader) refusedInto(name string, m *ReplicaModels) {
	if !r.array(name, 2) {
		return
	}
	m.Refused = []Refusal{}
	for first := true; r.more(first, ']'); first = false {
		field := name + "." + strconv.Itoa(len(m.Refused))
		var one Refusal
		if r.object(field, 3, objectRule) {
			seen := r.members(4, field+".", refusalNames, func(i int) {
				if i == 0 {
					r.stringInto(field+".model_version", &one.ModelVersion, notEmpty, notEmptyRule)
				} else {
					r.stringInto(field+".reason", &one.Reason, anyText, textRule)
				}
			})
			r.require(field+".", refusalNames, seen, 0)
		}
		m.Refused = append(m.Refused, one)
	}
}

func (r *reader) decisionCountsInto(c *DecisionCounts) {
	if !r.object("decisions", 1, objectRule) {
		return
	}
	seen := r.members(2, "decisions.", decisionCountNames, func(i int) {
		n := r.integerInto("decisions."+decisionCountNames[i], 0, math.MaxInt64)
		switch i {
		case 0:
			c.Approve = n
		case 1:
			c.Refer = n
		case 2:
			c.Decline = n
		}
	})
	r.require("decisions.", decisionCountNames, seen, 0)
}

func (r *reader) replicaStretchInto(name string, s *ReplicaStretch) {
	if !r.object(name, 1, objectRule) {
		return
	}
	seen := r.members(2, name+".", replicaStretchNames, func(i int) {
		switch field := name + "." + replicaStretchNames[i]; i {
		case 0:
			s.Seconds = r.doubleInto(field, 0, math.MaxFloat64, fromZeroRule)
		case 1:
			s.Records = r.integerInto(field, 0, math.MaxInt64)
		case 2:
			s.Latency = r.base64Into(field)
		}
	})
	r.require(name+".", replicaStretchNames, seen, 0)
}

// base64Into reads bytes; nil when there are none.
func (r *reader) base64Into(field string) []byte {
	from := r.i
	text, ok := r.text(r.scratch)
	if !ok {
		r.violate(field, from, base64Rule)
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		r.violate(field, from, base64Rule)
	}
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

func (r *reader) lagInto(p *Replica) {
	if !r.array("lag", 1) {
		return
	}
	p.Lag = []PartitionLag{}
	for first := true; r.more(first, ']'); first = false {
		field := "lag." + strconv.Itoa(len(p.Lag))
		var one PartitionLag
		if r.object(field, 2, objectRule) {
			seen := r.members(3, field+".", partitionLagNames, func(i int) {
				if i == 0 {
					one.Partition = int32(r.integerInto(field+".partition", 0, math.MaxInt32))
				} else {
					one.Offsets = r.integerInto(field+".offsets", 0, math.MaxInt64)
				}
			})
			r.require(field+".", partitionLagNames, seen, 0)
		}
		p.Lag = append(p.Lag, one)
	}
}
