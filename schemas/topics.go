package schemas

import (
	"strconv"
	"time"
)

// Topics are the names of every topic under one prefix.
type Topics struct {
	Applications string
	Predictions  string
	DLQ          string
	Outcomes     string
	DriftPanes   string
	DriftStatus  string
	DriftAlerts  string
	Models       string
	Routes       string
	Replicas     string
}

// NewTopics names the topics under a prefix ("credit").
func NewTopics(prefix string) Topics {
	return Topics{
		Applications: prefix + ".applications",
		Predictions:  prefix + ".predictions",
		DLQ:          prefix + ".applications.dlq",
		Outcomes:     prefix + ".outcomes",
		DriftPanes:   prefix + ".drift.panes",
		DriftStatus:  prefix + ".drift.status",
		DriftAlerts:  prefix + ".drift.alerts",
		Models:       prefix + ".models",
		Routes:       prefix + ".routes",
		Replicas:     prefix + ".replicas",
	}
}

// Components that read as a consumer group.
const (
	GroupScorer = "scorer"
	GroupView   = "view"
	GroupDrift  = "drift"
)

// GroupName is the consumer group of a deployment's component unless another is
// named. Before groups belonged to a deployment it was the component's name alone.
func GroupName(prefix, component string) string { return prefix + "." + component }

// Topic is one entry of the catalogue: everything `topics apply` sets.
type Topic struct {
	Name       string
	Key        string            // what records are keyed by
	Doc        string            // what is in it
	Partitions int32             // by default
	Configs    map[string]string // every setting explicit
}

const (
	dayMillis   = 24 * 60 * 60 * 1000
	bytesMiB    = 1 << 20
	keepForEver = -1
)

// settings are a topic's configs, every one explicit. Records expire by when they
// were appended: a replayed applied_at must not expire a record.
func settings(cleanup string, retentionDays int64, maxMessageBytes int64) map[string]string {
	retention := int64(keepForEver)
	if retentionDays != keepForEver {
		retention = retentionDays * dayMillis
	}
	return map[string]string{
		"cleanup.policy":         cleanup,
		"message.timestamp.type": "LogAppendTime",
		"retention.ms":           strconv.FormatInt(retention, 10),
		"retention.bytes":        strconv.Itoa(keepForEver),
		"max.message.bytes":      strconv.FormatInt(maxMessageBytes, 10),
	}
}

// compacted are the settings of a topic that keeps the last value of each key.
// Only closed segments are compacted, so one is closed after at most closeAfter
// and compacted once dirtyRatio of the log could go.
func compacted(maxMessageBytes, segmentBytes int64, closeAfter time.Duration, dirtyRatio string, keepTombstones time.Duration) map[string]string {
	s := settings("compact", keepForEver, maxMessageBytes)
	s["segment.bytes"] = strconv.FormatInt(segmentBytes, 10)
	s["segment.ms"] = strconv.FormatInt(closeAfter.Milliseconds(), 10)
	s["min.cleanable.dirty.ratio"] = dirtyRatio
	s["delete.retention.ms"] = strconv.FormatInt(keepTombstones.Milliseconds(), 10)
	return s
}

const (
	day = 24 * time.Hour
	// The longest drift window, and how long panes are kept: 2 × longest window, so
	// that an evaluator that was away for a whole one still finds it complete.
	longestWindowDays = 1
	paneDays          = 2 * longestWindowDays
)

// keyless is the key of a topic whose records have none.
const keyless = "none"

// Catalogue lists every topic under a prefix with its default settings.
func Catalogue(prefix string) []Topic {
	n := NewTopics(prefix)
	const id, none = "application_id", keyless
	return []Topic{
		{n.Applications, id, "what an applicant handed in", 12, settings("delete", 30, bytesMiB)},
		{n.Predictions, id, "the decision with the exact inputs it was made from", 12, settings("delete", 800, 2*bytesMiB)},
		{n.DLQ, "as received", "records that could not be scored, and why", 12, settings("delete", 90, 2*bytesMiB)},
		{n.Outcomes, id, "whether the loan defaulted, known later", 12, settings("delete", 800, bytesMiB)},
		{n.DriftPanes, none, "counts for one stretch of one partition", 1, settings("delete", paneDays, bytesMiB)},
		{n.DriftStatus, none, "one record per evaluation", 1, settings("delete", 30, bytesMiB)},
		{n.DriftAlerts, "alert name", "firing, resolved", 1, settings("delete", 400, bytesMiB)},
		{n.Models, "version", "model bundles, whole", 1, compacted(8*bytesMiB, 64*bytesMiB, 7*day, "0.5", day)},
		{n.Routes, none, "which version serves and under which policy; revision = offset", 1, settings("delete", keepForEver, bytesMiB)},
		// A record a second and replica: closed and compacted within the hour.
		{n.Replicas, "component/instance", "each replica, once a second", 1, compacted(bytesMiB, 16*bytesMiB, time.Hour, "0.1", time.Hour)},
	}
}
