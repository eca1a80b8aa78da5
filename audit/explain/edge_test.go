package explain

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// cut is the default policy with its cut-offs where two probabilities lie on either
// side of one.
func cut(t *testing.T, approveBelow, declineFrom float32) *policy.Policy {
	t.Helper()
	text := strings.NewReplacer("0.20", fmt.Sprint(approveBelow), "0.45", fmt.Sprint(declineFrom)).Replace(policy.DefaultText)
	p, err := policy.Parse(text)
	require.NoError(t, err)
	return p
}

// Two engines differ by less than the tolerance. Where a cut-off lies between them,
// each decides rightly and otherwise: that is no altered decision.
func TestExplain_SaysThatACutOffLiesBetweenTwoEngines(t *testing.T) {
	s := subject(t, applicant(3))
	here := s.Recorded.DefaultProbability
	there := math.Nextafter32(here, 1) // the other engine's value
	s.Set.Policy = cut(t, there, 1)    // here: approve, there: refer
	s.Recorded.PolicyVersion = s.Set.Policy.Version
	s.Recorded.Engine, s.Recorded.DefaultProbability = model.EngineONNX, there
	s.Recorded.Decision, s.Recorded.DefaultPrediction = s.Set.Policy.Decide(there, 0)
	require.Equal(t, schemas.Refer, s.Recorded.Decision)
	s.Recorded.Points = s.Set.Policy.ScorecardPoints(there)
	s.Recorded.Shadow.DefaultProbability, s.Recorded.Shadow.Decision = there, schemas.Refer

	e, err := Explain(s)
	require.NoError(t, err)
	require.Equal(t, Near, e.Reproduction.Result)
	require.Equal(t, model.EngineNative, e.Reproduction.Engine)
	require.Equal(t, model.EngineONNX, e.Model.Engine)
	var flipped *Difference
	for i, d := range e.Reproduction.Differences {
		require.True(t, d.Near, "%+v", d)
		if d.Field == "decision" {
			flipped = &e.Reproduction.Differences[i]
		}
	}
	require.NotNil(t, flipped)
	require.Equal(t, schemas.Refer, flipped.Recorded)
	require.Equal(t, schemas.Approve, flipped.Again)
	require.Contains(t, flipped.Why, "within 1e-06 of the cut-off approve_below")
	require.Equal(t, schemas.Refer, e.Policy.Decision, "what was decided is explained")
	require.Equal(t, Near, e.Shadow.Reproduced)
	var printed bytes.Buffer
	require.NoError(t, e.Print(&printed))
	require.Contains(t, printed.String(), "decided on the onnx engine")
	require.Contains(t, printed.String(), "on the native engine: ")
	require.Contains(t, printed.String(), "within 1e-06 of the cut-off approve_below")
	require.NotContains(t, printed.String(), "NOT the same")
}

// A decision that does not follow from its own probability is altered, however near a
// cut-off is; and so is one whose probability is far off.
func TestExplain_NamesAnAlteredDecisionAtACutOff(t *testing.T) {
	s := subject(t, applicant(3))
	there := math.Nextafter32(s.Recorded.DefaultProbability, 1)
	s.Set.Policy = cut(t, there, 1)
	s.Recorded.PolicyVersion = s.Set.Policy.Version
	s.Recorded.DefaultProbability, s.Recorded.Decision = there, schemas.Decline
	e, err := Explain(s)
	require.NoError(t, err)
	require.Equal(t, Differs, e.Reproduction.Result)

	s.Recorded.DefaultProbability, s.Recorded.Decision = there+0.001, schemas.Refer
	e, err = Explain(s)
	require.NoError(t, err)
	require.Equal(t, Differs, e.Reproduction.Result)
}
