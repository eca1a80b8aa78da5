package schemas

import "strconv"

// Request is an application as POST /predict takes it: its id and time may be
// left out.
type Request struct {
	Application       // ApplicationID is "" when the request has none
	HasAppliedAt bool // when not, AppliedAt is for the caller to set
}

// BatchItem is one application of POST /predict/batch. Its Request is in no
// defined state when it has violations.
type BatchItem struct {
	Request
	Violations []Violation
}

// requestNames are the keys of a request. One that has features is in the
// wrapped form; otherwise the features stand in the request itself.
var requestNames = append([]string{"application_id", "applied_at", "features"}, featureNames...)

// Positions in requestNames.
const (
	requestID = iota
	requestAppliedAt
	requestFeatures
	requestBare // the first of the features
)

// DecodeRequest reads an application in either form. The error is a *DecodeError
// or a *ContractError that lists every broken rule; q is then in no defined
// state. q shares no memory with value.
func DecodeRequest(value []byte, q *Request) error {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return r.err
	}
	r.requestInto(1, q)
	return r.done()
}

// requestInto reads a request that the reader stands inside of.
func (r *reader) requestInto(depth int, q *Request) {
	q.ApplicationID, q.HasAppliedAt = "", false
	var (
		bare   Features
		broken []Violation // rules about bare, which count in that form only
	)
	seen := r.members(depth, "", requestNames, func(i int) {
		switch i {
		case requestID:
			if !r.null() {
				r.stringInto("application_id", &q.ApplicationID, ValidApplicationID, idRule)
			}
		case requestAppliedAt:
			if q.HasAppliedAt = !r.null(); q.HasAppliedAt {
				r.timestampInto("applied_at", &q.AppliedAt)
			}
		case requestFeatures:
			r.featuresInto(&q.Features)
		default:
			before := len(r.violations)
			r.featureInto(requestNames[i], i-requestBare, &bare)
			if len(r.violations) > before {
				broken = append(broken, r.violations[before:]...)
				r.violations = r.violations[:before]
			}
		}
	})
	switch {
	case seen&(1<<requestFeatures) != 0:
	case seen>>requestBare == 0:
		r.require("", requestNames[:requestBare], seen, 1<<requestID|1<<requestAppliedAt)
	default:
		q.Features = bare
		r.violations = append(r.violations, broken...)
		r.require("", featureNames, seen>>requestBare, 0)
	}
}

var batchNames = []string{"applications"}

// DecodeBatchRequest reads {"applications": […]}, appending to items, whose memory
// is reused, at most limit of them. The error is a *DecodeError or a *ContractError
// about the batch; a rule that one application breaks is in its own item.
func DecodeBatchRequest(value []byte, items []BatchItem, limit int) ([]BatchItem, error) {
	r := reader{scanner: scanner{b: value}}
	if !r.open() {
		return items, r.err
	}
	seen := r.members(1, "", batchNames, func(int) { items = r.itemsInto(items, limit) })
	r.require("", batchNames, seen, 0)
	return items, r.done()
}

func (r *reader) itemsInto(items []BatchItem, limit int) []BatchItem {
	if !r.array("applications", 1) {
		return items
	}
	batch := r.violations
	defer func() { r.violations = batch }()
	n := 0
	for first := true; r.more(first, ']'); first = false {
		if n++; n > limit {
			if !r.skip(2) {
				return items
			}
			continue
		}
		items = append(items, BatchItem{})
		item := &items[len(items)-1]
		r.violations = nil
		if r.object("", 2, objectRule) {
			r.requestInto(3, &item.Request)
		}
		item.Violations = r.violations
	}
	if n > limit && r.err == nil {
		batch = append(batch, Violation{"applications", strconv.Itoa(n) + " items", "must have at most " + strconv.Itoa(limit) + " items"})
	}
	return items
}
