package explain

import (
	"fmt"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Subject is a recorded decision and what it says made it.
type Subject struct {
	Source   schemas.Source
	Recorded schemas.Prediction
	Set      *model.LiveSet // its model, policy and revision
	Route    *schemas.Route // nil where none served
	Shadow   *model.Model   // nil where none ran, or where it cannot be had
	NoShadow string         // why it cannot be had
}

// Past is what decided until now; release.Archive is one.
type Past interface {
	// Has says whether a version's bundle is at hand.
	Has(version string) bool
	// Model opens a version on the engine named, whether it may decide or not.
	Model(version, engine string) (*model.Model, error)
	// Route is the route of a revision.
	Route(revision int64) (schemas.Route, bool)
	// Set is the live set that decided under a route revision, -1 for none, with one of
	// its models, which is its champion here, and on the engine named.
	Set(modelVersion string, revision int64, policyVersion, engine string) (*model.LiveSet, error)
}

// NoModelError is that of a decision whose model is not at hand.
type NoModelError struct {
	Source  schemas.Source
	Version string
}

func (e *NoModelError) Error() string {
	return fmt.Sprintf("the decision at %s was made by model %s, which is not on the models topic (any more)", e.Source, e.Version)
}

// NewSubject looks up everything that made a recorded decision. Its error is a
// *NoModelError where the model is missing.
func NewSubject(source schemas.Source, p *schemas.Prediction, past Past) (*Subject, error) {
	s := &Subject{Source: source, Recorded: *p}
	if route, ok := past.Route(p.RouteRevision); ok {
		s.Route = &route
	}
	if !past.Has(p.ModelVersion) {
		return nil, &NoModelError{source, p.ModelVersion}
	}
	var err error
	s.Set, err = past.Set(p.ModelVersion, p.RouteRevision, p.PolicyVersion, p.Engine)
	if err != nil && p.Engine == model.EngineONNX {
		// A build without ONNX Runtime: the native engine comes within tolerance.
		if native, other := past.Set(p.ModelVersion, p.RouteRevision, p.PolicyVersion, model.EngineNative); other == nil {
			s.Set, err = native, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the decision at %s cannot be made again: %w", source, err)
	}
	if p.Shadow != nil {
		shadow, err := past.Model(p.Shadow.ModelVersion, s.Set.Champion.Engine)
		if err != nil {
			s.NoShadow = err.Error()
		} else {
			s.Shadow = shadow
		}
	}
	return s, nil
}
