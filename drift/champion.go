package drift

import (
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/policy"
)

// Champion is what serves, as far as judging drift needs it.
type Champion struct {
	ModelVersion string
	Digest       string // of the reference, as panes name it
	Reference    *model.Reference
	Policy       *policy.Policy
}

// Info names the reference as a status does.
func (c *Champion) Info() ReferenceInfo {
	return ReferenceInfo{Digest: c.Digest, ModelVersion: c.ModelVersion, Rows: c.Reference.Rows, Unwatched: c.Reference.Unwatched()}
}
