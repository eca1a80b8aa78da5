package schemas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flaw is a setting of a topic on a cluster by which something is lost, or does not
// fit, that the catalogue keeps.
type Flaw struct {
	Topic   string
	Setting string
	Have    string
	Want    string
	Means   string // what comes of it
	Loses   bool   // models, routes or what drift is judged by: no component may serve on it
}

func (f Flaw) String() string {
	return fmt.Sprintf("topic %s: %s is %q, expected %q: %s", f.Topic, f.Setting, f.Have, f.Want, f.Means)
}

// soon is a retention, in milliseconds, below which a component that is away for a
// while misses records.
const soon = "3600000"

// Flaws are what is dangerous in a topic's settings on a cluster, of all that differs
// from the catalogue. How long what people decided to keep is kept is their affair, as
// long as it can be read before it goes.
func (t Topic) Flaws(have map[string]string) (found []Flaw) {
	add := func(setting, means string, loses bool) {
		found = append(found, Flaw{t.Name, setting, have[setting], t.Configs[setting], means, loses})
	}
	forEver := t.Configs["retention.ms"] == strconv.Itoa(keepForEver)
	state := forEver && !strings.HasSuffix(t.Name, ".replicas") // what replicas report is said again
	cleanup := strings.Split(have["cleanup.policy"], ",")
	deletes := slices.Contains(cleanup, "delete")
	switch compacts := slices.Contains(cleanup, "compact"); {
	case t.Configs["cleanup.policy"] == "delete" && compacts && t.Key == keyless:
		add("cleanup.policy", "records without a key are refused", true)
	case t.Configs["cleanup.policy"] == "delete" && compacts:
		add("cleanup.policy", "earlier records of a key are removed", false)
	case t.Configs["cleanup.policy"] == "compact" && !compacts:
		add("cleanup.policy", "it grows without end", false)
	}
	for _, setting := range []string{"retention.ms", "retention.bytes"} {
		if v, err := strconv.ParseInt(have[setting], 10, 64); forEver && deletes && err == nil && v >= 0 {
			add(setting, "records are removed, the ones in force among them", state)
		}
	}
	if !forEver && less(have, map[string]string{"retention.ms": soon}, "retention.ms") {
		add("retention.ms", "records may be removed before they have been read", false)
	}
	if !forEver && less(have, map[string]string{"retention.bytes": t.Configs["max.message.bytes"]}, "retention.bytes") {
		add("retention.bytes", "records are removed as soon as the next come", false)
	}
	if less(have, t.Configs, "retention.ms") && strings.HasSuffix(t.Name, ".drift.panes") {
		add("retention.ms", "the longest window of drift may be incomplete after a restart", false)
	}
	if have["message.timestamp.type"] != t.Configs["message.timestamp.type"] {
		add("message.timestamp.type", "records may expire by times that their senders wrote, and are counted by those", false)
	}
	if less(have, t.Configs, "max.message.bytes") {
		add("max.message.bytes", "larger records, which the contract allows, are refused", false)
	}
	return found
}

// less says whether a number is smaller than it should be; -1 is without end.
func less(have, want map[string]string, setting string) bool {
	h, err := strconv.ParseInt(have[setting], 10, 64)
	w, _ := strconv.ParseInt(want[setting], 10, 64) // the catalogue's are numbers
	return err == nil && h >= 0 && (w < 0 || h < w)
}
