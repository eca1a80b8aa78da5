package replica

import (
	"fmt"
	"slices"
	"time"
)

// Verdict is what the live replicas that serve models make of a route.
type Verdict struct {
	Serving  []string   // their names
	Refusing []Refusing // they never will
	Waiting  []Waiting  // they do not yet
}

// Refusing is a replica that refuses a bundle of the route.
type Refusing struct {
	Replica      string `json:"replica"`
	ModelVersion string `json:"model_version"`
	Reason       string `json:"reason"`
}

// Waiting is a replica that does not serve the route yet.
type Waiting struct {
	Replica string `json:"replica"`
	Why     string `json:"why"`
}

// Judge asks the board who serves a route revision, or a later one. versions are
// the models that the route names.
func (b *Board) Judge(now time.Time, revision int64, versions []string) (v Verdict) {
	for _, s := range b.States(now) {
		m := s.Models
		if m == nil || !s.Live(now) {
			continue
		}
		if m.RouteRevision >= revision {
			v.Serving = append(v.Serving, s.Name())
			continue
		}
		if m.NewestRevision < revision {
			v.Waiting = append(v.Waiting, Waiting{s.Name(), fmt.Sprintf("it has read routes up to revision %d", m.NewestRevision)})
			continue
		}
		refuses := false
		for _, r := range m.Refused {
			if slices.Contains(versions, r.ModelVersion) {
				v.Refusing = append(v.Refusing, Refusing{s.Name(), r.ModelVersion, r.Reason})
				refuses = true
			}
		}
		switch {
		case refuses:
		case m.Pending != "":
			v.Waiting = append(v.Waiting, Waiting{s.Name(), m.Pending})
		default:
			v.Waiting = append(v.Waiting, Waiting{s.Name(), "it is opening the models"})
		}
	}
	return v
}

// Settled says whether every one of them serves the route or never will. Where
// there is none, nothing is settled.
func (v *Verdict) Settled() bool {
	return len(v.Waiting) == 0 && len(v.Serving)+len(v.Refusing) > 0
}

// Loaded are the names of the live replicas that serve each model version.
func (b *Board) Loaded(now time.Time) map[string][]string {
	loaded := map[string][]string{}
	for _, s := range b.States(now) {
		if s.Models == nil || !s.Live(now) {
			continue
		}
		versions := []string{s.Models.Champion, s.Models.Canary, s.Models.Shadow}
		slices.Sort(versions)
		for _, version := range slices.Compact(versions) {
			if version == "" { // there is no canary, or no shadow
				continue
			}
			loaded[version] = append(loaded[version], s.Name())
		}
	}
	return loaded
}
