package app

import (
	"fmt"
	"sync"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/policy"
)

// driftChampion is the champion of what serves, as an evaluator needs it; nil while
// nothing serves. The digest of a reference is worked out once.
func driftChampion(live func() *model.LiveSet) func() *drift.Champion {
	var (
		mu   sync.Mutex // guards what follows
		of   *model.LiveSet
		last *drift.Champion
	)
	return func() *drift.Champion {
		mu.Lock()
		defer mu.Unlock()
		set := live()
		if set == of {
			return last
		}
		m := set.Champion
		next := &drift.Champion{ModelVersion: m.Version, Reference: m.Reference, Policy: set.Policy}
		if last != nil && of.Champion == m {
			next.Digest = last.Digest
		} else {
			next.Digest = m.Reference.Digest()
		}
		of, last = set, next
		return next
	}
}

// NoChampionError is ChampionAt's where no model served, or the bundle of the one that did
// is gone.
type NoChampionError struct{ why string }

func (e *NoChampionError) Error() string { return e.why }

// ChampionAt is whom decisions until a time are compared with: the champion then, under
// the policy then in force, the contract's where there was no route. named is another
// model in its place: a released version, or what read reads; "": none. Where there is
// neither, the error is a *NoChampionError.
func ChampionAt(h *release.History, at time.Time, named string, read func(name string) ([]byte, error)) (*drift.Champion, error) {
	version, text := named, policy.DefaultText
	if r := h.InForceAt(at); r != nil {
		text = r.Route.Policy
		if version == "" {
			version = r.Route.Champion
		}
	}
	bundle, released := h.Bundle(version)
	switch {
	case version == "":
		return nil, &NoChampionError{fmt.Sprintf("no model has been routed to until %s", at.UTC().Format(time.RFC3339))}
	case !released && named == "":
		return nil, &NoChampionError{fmt.Sprintf("model %s served then and its bundle is gone", version)}
	case !released:
		var err error
		if bundle, err = read(version); err != nil {
			return nil, err
		}
	}
	manifest, reference, err := model.ReadManifest(bundle)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", version, err)
	}
	rules, err := policy.Parse(text)
	if err != nil {
		return nil, err
	}
	return &drift.Champion{ModelVersion: manifest.Version, Digest: reference.Digest(), Reference: reference, Policy: rules}, nil
}
