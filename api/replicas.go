package api

import (
	"encoding/json"
	"net/http"

	"github.com/creditstream/creditstream/replica"
)

// Replicas know what every running component is doing.
type Replicas interface {
	// Replicas are those that run and those that ended without a word; an error
	// says why that is not known.
	Replicas() ([]replica.Summary, error)
}

// replicasDocument is what GET /replicas answers.
type replicasDocument struct {
	Replicas []replica.Summary `json:"replicas"`
}

// replicas is GET /replicas.
func (s *Server) replicas(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	all, err := s.config.Replicas.Replicas()
	if err != nil {
		return newProblem(http.StatusServiceUnavailable, "no-replicas", "What replicas are doing is not known now", "").after(1)
	}
	document, err := json.Marshal(replicasDocument{all})
	if err != nil {
		s.config.Log.Error("describing the replicas failed", "error", err)
		return internalProblem()
	}
	writeJSON(w, document)
	return nil
}
