package model

import (
	"errors"
	"maps"
	"slices"

	"github.com/creditstream/creditstream/policy"
)

// LiveSet is what serves at one moment: immutable, one snapshot per transaction
// or request.
type LiveSet struct {
	Champion    *Model
	Canary      *Model // nil without one
	CanaryShare uint64 // of ShareScale
	Shadow      *Model // nil without one
	Policy      *policy.Policy
	Revision    int64 // offset of the route record, -1 where none serves
}

// Split is how the set divides applications.
func (s *LiveSet) Split() Split {
	if s.Canary == nil {
		return Split{}
	}
	return Split{Canary: s.Canary.Version, Share: s.CanaryShare}
}

// Fixed is a live set without a route: one bundle as champion under one policy.
func Fixed(bundle []byte, engine, policyText string) (*LiveSet, error) {
	m, err := Parse(bundle, engine)
	if err != nil {
		return nil, err
	}
	p, perr := policy.Parse(policyText)
	if err := errors.Join(m.Explains(), perr); err != nil {
		m.Close()
		return nil, err
	}
	return &LiveSet{Champion: m, Policy: p, Revision: -1}, nil
}

// Versions are the model versions of a set, each once.
func (s *LiveSet) Versions() []string {
	versions := map[string]bool{s.Champion.Version: true}
	if s.Canary != nil {
		versions[s.Canary.Version] = true
	}
	if s.Shadow != nil {
		versions[s.Shadow.Version] = true
	}
	return slices.Sorted(maps.Keys(versions))
}
