package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// refusedError is why a route cannot take effect however long one waits: a new
// route is needed, or the bundle under another version.
type refusedError struct {
	version string // "" when it is the route itself
	reason  error
}

func (e *refusedError) Error() string {
	if e.version == "" {
		return e.reason.Error()
	}
	return fmt.Sprintf("model %s is refused: %s", e.version, e.reason)
}

func (e *refusedError) Unwrap() error { return e.reason }

// missingError names a bundle that a route waits for.
type missingError struct{ version string }

func (e *missingError) Error() string {
	return fmt.Sprintf("model %s is not among the released ones yet: creditstream model release", e.version)
}

// opener opens bundles, each once: what it has opened and what it has refused is
// remembered by version until it is told to forget.
type opener struct {
	engine  string
	bundle  func(version string) ([]byte, bool)
	models  map[string]*model.Model
	refused map[string]error

	limit time.Duration // that one bundle may take
	now   func() time.Time
	parse func(ctx context.Context, bundle []byte, engine string) (*model.Model, error)

	// Of one that opens beside its caller; woken is nil where it opens while it is waited for.
	background context.Context //nolint:containedctx // of the follower whose opener this is
	woken      func()
	opening    map[string]*opening // by version
}

func newOpener(engine string, bundle func(version string) ([]byte, bool)) *opener {
	return &opener{
		engine: engine, bundle: bundle, models: map[string]*model.Model{}, refused: map[string]error{},
		limit: openTime, now: time.Now, parse: parse, opening: map[string]*opening{},
	}
}

// parse opens a bundle. One that only ONNX Runtime can run may be shadow all the
// same; explained says whether it has to give reasons.
func parse(ctx context.Context, bundle []byte, engine string) (*model.Model, error) {
	m, err := model.ParseContext(ctx, bundle, engine)
	if errors.Is(err, model.ErrNative) {
		var onnx error
		if m, onnx = model.ParseContext(ctx, bundle, model.EngineONNX); onnx != nil {
			return nil, fmt.Errorf("%w; nor can it be shadow on ONNX Runtime: %w", err, onnx)
		}
		return m, nil
	}
	return m, err
}

// open returns a version's model. The error is a *missingError, a *refusedError or,
// where bundles are opened in the background, an *openingError.
func (o *opener) open(version string) (*model.Model, error) {
	if m, ok := o.models[version]; ok {
		return m, nil
	}
	if err, ok := o.refused[version]; ok {
		return nil, &refusedError{version, err}
	}
	bundle, ok := o.bundle(version)
	if !ok {
		return nil, &missingError{version}
	}
	m, err := o.opened(version, bundle)
	if _, busy := errors.AsType[*openingError](err); busy {
		return nil, err
	}
	if err == nil && m.Version != version {
		err = fmt.Errorf("its key is %s, its manifest says %s", version, m.Version)
	}
	if err != nil {
		o.refused[version] = err
		return nil, &refusedError{version, err}
	}
	o.models[version] = m
	return m, nil
}

// opened opens a bundle: at once, or in the background.
func (o *opener) opened(version string, bundle []byte) (*model.Model, error) {
	if o.woken != nil {
		return o.result(version, bundle)
	}
	ctx, stop := context.WithTimeout(context.Background(), o.limit)
	defer stop()
	m, err := o.parse(ctx, bundle, o.engine)
	if errors.Is(err, context.DeadlineExceeded) {
		err = o.tooLong()
	}
	return m, err
}

// deciding opens a version that makes decisions: it must give reasons.
func (o *opener) deciding(version, role string) (*model.Model, error) {
	m, err := o.open(version)
	if err != nil {
		return nil, err
	}
	if err := m.Explains(); err != nil {
		return nil, &refusedError{version, fmt.Errorf("as %s: %w", role, err)}
	}
	return m, nil
}

// set opens everything a route names.
func (o *opener) set(r Revision) (*model.LiveSet, error) {
	rules, err := policy.Parse(r.Route.Policy)
	if err != nil {
		return nil, &refusedError{reason: err}
	}
	s := &model.LiveSet{Policy: rules, Revision: r.Number}
	if s.Champion, err = o.deciding(r.Route.Champion, "champion"); err != nil {
		return nil, err
	}
	if c := r.Route.Canary; c != nil {
		split, err := model.SplitOf(&r.Route)
		if err != nil {
			return nil, &refusedError{reason: err}
		}
		s.CanaryShare = split.Share
		if s.Canary, err = o.deciding(c.ModelVersion, "canary"); err != nil {
			return nil, err
		}
	}
	if r.Route.Shadow != nil {
		if s.Shadow, err = o.open(*r.Route.Shadow); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// forget forgets what a version came to: it was withdrawn, or is there again with
// other bytes.
func (o *opener) forget(version string) {
	delete(o.refused, version)
	if one := o.opening[version]; one != nil {
		one.stop()
		delete(o.opening, version)
	}
}

// keep forgets every model but those named. They are freed by the garbage
// collector: a batch that still holds an old set must be able to finish.
func (o *opener) keep(versions map[string]bool) {
	for v := range o.models {
		if !versions[v] {
			delete(o.models, v)
		}
	}
}

func named(r schemas.Route) []string {
	versions := []string{r.Champion}
	if r.Canary != nil {
		versions = append(versions, r.Canary.ModelVersion)
	}
	if r.Shadow != nil {
		versions = append(versions, *r.Shadow)
	}
	return versions
}
