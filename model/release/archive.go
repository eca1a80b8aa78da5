package release

import (
	"fmt"
	"slices"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// Archive makes decisions of the past again: with the model, the route and the
// policy that a prediction names. It serves one goroutine at a time and keeps
// open what it has opened.
type Archive struct {
	history *History
	openers map[string]*opener // by engine
	extra   map[string][]byte  // bundles that served without a route, by version
	sets    map[archived]*model.LiveSet
}

type archived struct {
	version  string
	revision int64
	policy   string
	engine   string
}

// NewArchive looks up in a history. unrouted are bundles that may have served
// without a route: the shipped one, a file.
func NewArchive(h *History, unrouted ...[]byte) (*Archive, error) {
	a := &Archive{history: h, openers: map[string]*opener{}, extra: map[string][]byte{}, sets: map[archived]*model.LiveSet{}}
	for _, bundle := range unrouted {
		m, _, err := model.ReadManifest(bundle)
		if err != nil {
			return nil, err
		}
		a.extra[m.Version] = bundle
	}
	return a, nil
}

func (a *Archive) bundle(version string) ([]byte, bool) {
	if b, ok := a.history.Bundle(version); ok {
		return b, true
	}
	b, ok := a.extra[version]
	return b, ok
}

// Model opens a version on the engine named, whether it may decide or only be a
// shadow.
func (a *Archive) Model(version, engine string) (*model.Model, error) {
	return a.opener(engine).open(version)
}

// Has says whether a version's bundle is at hand.
func (a *Archive) Has(version string) bool {
	_, ok := a.bundle(version)
	return ok
}

// Route is the route of a revision.
func (a *Archive) Route(revision int64) (schemas.Route, bool) { return a.history.Route(revision) }

func (a *Archive) opener(engine string) *opener {
	if a.openers[engine] == nil {
		a.openers[engine] = newOpener(engine, a.bundle)
	}
	return a.openers[engine]
}

// Set is the live set that decided under a route revision with one of its models,
// which is its champion here, canary or not, on the engine named. A revision of -1 is that of the
// contract's policy and of no route.
func (a *Archive) Set(modelVersion string, revision int64, policyVersion, engine string) (*model.LiveSet, error) {
	key := archived{modelVersion, revision, policyVersion, engine}
	if s, ok := a.sets[key]; ok {
		return s, nil
	}
	text := policy.DefaultText
	if revision >= 0 {
		route, ok := a.history.Route(revision)
		if !ok {
			return nil, fmt.Errorf("there is no route revision %d", revision)
		}
		if !slices.Contains(named(route), modelVersion) {
			return nil, fmt.Errorf("route revision %d does not name model %s", revision, modelVersion)
		}
		text = route.Policy
	}
	rules, err := policy.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("route revision %d: %w", revision, err)
	}
	if rules.Version != policyVersion {
		return nil, fmt.Errorf("route revision %d has policy %s, not %s", revision, rules.Version, policyVersion)
	}
	m, err := a.opener(engine).deciding(modelVersion, "champion")
	if err != nil {
		return nil, err
	}
	s := &model.LiveSet{Champion: m, Policy: rules, Revision: revision}
	a.sets[key] = s
	return s, nil
}
