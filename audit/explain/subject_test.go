package explain

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// pastOf is a past of one decision's model and route, on some engines.
type pastOf struct {
	of      *Subject
	engines []string
	lost    bool // the shadow's bundle is
}

func (o pastOf) Has(version string) bool { return version == o.of.Set.Champion.Version }

func (o pastOf) Model(version, engine string) (*model.Model, error) {
	if o.lost {
		return nil, errors.New("it is gone")
	}
	if version != o.of.Recorded.Shadow.ModelVersion || engine != o.of.Set.Champion.Engine {
		return nil, fmt.Errorf("no model %s on %s", version, engine)
	}
	return o.of.Shadow, nil
}

func (o pastOf) Route(revision int64) (schemas.Route, bool) { return *o.of.Route, revision == 3 }

func (o pastOf) Set(version string, revision int64, policyVersion, engine string) (*model.LiveSet, error) {
	if version != o.of.Set.Champion.Version || policyVersion != o.of.Set.Policy.Version {
		return nil, fmt.Errorf("no set of model %s with policy %s", version, policyVersion)
	}
	if !slices.Contains(o.engines, engine) {
		return nil, errors.New("no " + engine)
	}
	set := *o.of.Set
	set.Revision = revision
	return &set, nil
}

func TestSubject_IsLookedUpByWhatTheDecisionNames(t *testing.T) {
	made := subject(t, applicant(2))
	made.Recorded.Shadow.ModelVersion = "v2" // not the champion's
	past := pastOf{made, []string{model.EngineNative}, false}
	s, err := NewSubject(made.Source, &made.Recorded, past)
	require.NoError(t, err)
	require.Equal(t, made, s)

	past.lost = true
	s, err = NewSubject(made.Source, &made.Recorded, past)
	require.NoError(t, err)
	require.Nil(t, s.Shadow)
	require.Equal(t, "it is gone", s.NoShadow)

	unrouted := made.Recorded
	unrouted.RouteRevision, unrouted.Shadow = -1, nil
	s, err = NewSubject(made.Source, &unrouted, past)
	require.NoError(t, err)
	require.Nil(t, s.Route)
	require.Equal(t, int64(-1), s.Set.Revision)
	require.Empty(t, s.NoShadow)
}

// A build without ONNX Runtime makes its decisions again on the native engine, which comes
// within tolerance; and no other engine's on another.
func TestSubject_IsMadeOnTheNativeEngineWhereONNXIsMissing(t *testing.T) {
	made := subject(t, applicant(2))
	onnx := made.Recorded
	onnx.Engine = model.EngineONNX
	s, err := NewSubject(made.Source, &onnx, pastOf{made, []string{model.EngineNative}, false})
	require.NoError(t, err)
	require.Equal(t, made.Set, s.Set)
	_, err = NewSubject(made.Source, &onnx, pastOf{made, nil, false})
	require.ErrorContains(t, err, "cannot be made again: no onnx")
	_, err = NewSubject(made.Source, &made.Recorded, pastOf{made, []string{model.EngineONNX}, false})
	require.ErrorContains(t, err, "the decision at t.predictions/3/918 cannot be made again: no native")
}

func TestSubject_NamesTheModelThatIsGone(t *testing.T) {
	made := subject(t, applicant(2))
	other := made.Recorded
	other.ModelVersion = "v0"
	_, err := NewSubject(made.Source, &other, pastOf{made, nil, false})
	var gone *NoModelError
	require.ErrorAs(t, err, &gone)
	require.Equal(t, NoModelError{made.Source, "v0"}, *gone)
}
