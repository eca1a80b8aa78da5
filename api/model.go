package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/creditstream/creditstream/model"
)

// modelDocument is what GET /model answers: what serves, and how well it did.
type modelDocument struct {
	ModelVersion  string          `json:"model_version"`
	Digest        string          `json:"digest"`
	Engine        string          `json:"engine"`
	Algorithm     string          `json:"algorithm"`
	CreatedAt     time.Time       `json:"created_at"`
	Inputs        []string        `json:"inputs"`
	UsedInputs    []string        `json:"used_inputs"`
	ReasonGroups  []model.Group   `json:"reason_groups"`
	Base          float64         `json:"base"` // log-odds before any contribution
	Metrics       json.RawMessage `json:"metrics"`
	Policy        policyDocument  `json:"policy"`
	RouteRevision int64           `json:"route_revision"`
	Canary        *otherModel     `json:"canary"`
	Shadow        *otherModel     `json:"shadow"`
}

type policyDocument struct {
	Version      string         `json:"policy_version"`
	Threshold    float64        `json:"threshold"`
	ApproveBelow float64        `json:"approve_below"`
	DeclineFrom  float64        `json:"decline_from"`
	MaxMissing   int            `json:"max_missing"`
	Points       pointsDocument `json:"points"`
}

type pointsDocument struct {
	Base     float64 `json:"base"`
	BaseOdds float64 `json:"base_odds"`
	PDO      float64 `json:"pdo"`
}

// otherModel serves beside the champion.
type otherModel struct {
	ModelVersion string   `json:"model_version"`
	Digest       string   `json:"digest"`
	Engine       string   `json:"engine"`
	Share        *float64 `json:"share,omitempty"` // of a canary, 0 … 1
}

func newOtherModel(m *model.Model) *otherModel {
	if m == nil {
		return nil
	}
	return &otherModel{ModelVersion: m.Version, Digest: m.Digest, Engine: m.Engine}
}

func newModelDocument(set *model.LiveSet) *modelDocument {
	m, p := set.Champion, set.Policy
	d := &modelDocument{
		ModelVersion: m.Version, Digest: m.Digest, Engine: m.Engine,
		Algorithm: m.Manifest.Algorithm, CreatedAt: m.Manifest.CreatedAt,
		Inputs: m.Manifest.Inputs, UsedInputs: m.Manifest.UsedInputs, ReasonGroups: m.Groups,
		Base: m.Manifest.ExpectedValue, Metrics: m.Manifest.Metrics,
		Policy: policyDocument{
			p.Version, p.Threshold, p.ApproveBelow, p.DeclineFrom, p.MaxMissing,
			pointsDocument{p.Points.Base, p.Points.BaseOdds, p.Points.PDO},
		},
		RouteRevision: set.Revision, Canary: newOtherModel(set.Canary), Shadow: newOtherModel(set.Shadow),
	}
	if d.Canary != nil {
		share := float64(set.CanaryShare) / model.ShareScale
		d.Canary.Share = &share
	}
	return d
}

// model is GET /model.
func (s *Server) model(w http.ResponseWriter, _ *http.Request, _ string) *problem {
	set := s.config.Live()
	if set == nil {
		return noModel()
	}
	document, err := json.Marshal(newModelDocument(set))
	if err != nil {
		s.config.Log.Error("describing the model failed", "model_version", set.Champion.Version, "error", err)
		return internalProblem()
	}
	writeJSON(w, document)
	return nil
}
