package tail

import "github.com/creditstream/creditstream/schemas"

// Filter says which predictions are shown. Its zero value lets all through.
type Filter struct {
	ID             string
	Decision       string
	Channel        string
	ModelVersion   string
	MinProbability float32
}

// Match says whether the filter lets a prediction through.
func (f Filter) Match(p *schemas.Prediction) bool {
	return is(f.ID, p.ApplicationID) && is(f.Decision, p.Decision) && is(f.Channel, p.Channel) &&
		is(f.ModelVersion, p.ModelVersion) && p.DefaultProbability >= f.MinProbability
}

func is(wanted, got string) bool { return wanted == "" || wanted == got }
