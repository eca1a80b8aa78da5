package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Demo lets visitors of a demo change what happens to its population.
type Demo interface {
	Scenarios() []string
	Scenario() string // in force
	// SetScenario begins one of Scenarios.
	SetScenario(name string) error
}

const scenarioRoute = "/demo/scenario"

// scenarioDocument is what is in force, and what there is.
type scenarioDocument struct {
	Scenario  string   `json:"scenario"`
	Scenarios []string `json:"scenarios"`
}

// scenario is GET /demo/scenario; it is there in a demo only.
func (s *Server) scenario(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	document, err := json.Marshal(scenarioDocument{s.config.Demo.Scenario(), s.config.Demo.Scenarios()})
	if err != nil {
		return internalProblem()
	}
	writeJSON(w, document)
	return nil
}

// setScenario is POST /demo/scenario.
func (s *Server) setScenario(w http.ResponseWriter, r *http.Request, caller string, body []byte) *problem {
	var asked struct {
		Scenario string `json:"scenario"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil || !errors.Is(d.Decode(&struct{}{}), io.EOF) {
		return newProblem(http.StatusBadRequest, "scenario", "The body is not one JSON object that names a scenario and nothing else", "Send {\"scenario\": \"NAME\"}.")
	}
	if all := s.config.Demo.Scenarios(); !slices.Contains(all, asked.Scenario) {
		return newProblem(http.StatusUnprocessableEntity, "no-such-scenario", "There is no such scenario", "It must be one of "+strings.Join(all, ", ")+".")
	}
	if err := s.config.Demo.SetScenario(asked.Scenario); err != nil {
		s.config.Log.Error("changing the scenario failed", "scenario", asked.Scenario, "error", err)
		return internalProblem()
	}
	return s.scenario(w, r, caller)
}
