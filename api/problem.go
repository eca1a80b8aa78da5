package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/creditstream/creditstream/schemas"
)

// problem is an RFC 9457 problem document: what a client is told went wrong.
type problem struct {
	Type          string              `json:"type"`
	Title         string              `json:"title"`
	Status        int                 `json:"status"`
	Detail        string              `json:"detail,omitempty"`
	Errors        []schemas.Violation `json:"errors,omitempty"`
	ApplicationID string              `json:"application_id,omitempty"`
	Recorded      string              `json:"recorded,omitempty"` // "unknown": the decision may be in the log

	retryAfter int // seconds; 0: not said
}

// problemType begins the type of every problem; what follows names it for
// programs.
const problemType = "urn:problem-type:creditstream:"

func newProblem(status int, name, title, detail string) *problem {
	return &problem{Type: problemType + name, Title: title, Status: status, Detail: detail}
}

func (p *problem) after(seconds int) *problem {
	p.retryAfter = seconds
	return p
}

// broken is a request that breaks rules.
func broken(violations ...schemas.Violation) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "contract", "The request breaks rules of the contract", "")
	p.Errors = violations
	return p
}

// unrecorded is a decision that the log did not acknowledge.
func unrecorded(applicationID string) *problem {
	p := newProblem(http.StatusServiceUnavailable, "unrecorded", "The decision could not be recorded",
		"It may be in the log or get there still. Ask again with the same application_id, or with an Idempotency-Key.").after(1)
	p.ApplicationID, p.Recorded = applicationID, "unknown"
	return p
}

func internalProblem() *problem {
	return newProblem(http.StatusInternalServerError, "internal", "Something went wrong here", "")
}

func (p *problem) json() []byte {
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers only
		panic(err)
	}
	return b
}

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.json())
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, document []byte) {
	h := w.Header()
	h["Content-Type"] = contentTypeJSON
	h["Cache-Control"] = noStore
	h.Set("Content-Length", strconv.Itoa(len(document)))
	_, _ = w.Write(document)
}

var (
	contentTypeJSON = []string{"application/json"}
	noStore         = []string{"no-store"}
)
