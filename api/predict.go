package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// job is the memory that one request works in.
type job struct {
	scorer      *scorer.Scorer
	answer      []byte
	request     schemas.Request
	items       []schemas.BatchItem
	apps        []schemas.Application // those to be decided
	indexes     []int                 // of them, among the items of a batch
	predictions []schemas.Prediction
	at          []Position // where they were recorded
	errs        []error
}

func newJob() *job {
	return &job{scorer: scorer.New(), answer: make([]byte, 0, 2048)}
}

// done gives the job back, without what only a large batch needs.
func (s *Server) done(j *job) {
	if cap(j.answer) > keptBody {
		*j = *newJob()
	}
	clear(j.items) // their violations
	j.answer, j.items, j.apps, j.indexes = j.answer[:0], j.items[:0], j.apps[:0], j.indexes[:0]
	s.jobs.Put(j)
}

// predict is POST /predict.
func (s *Server) predict(w http.ResponseWriter, r *http.Request, caller string, body []byte) *problem {
	detail, p := wantsDetail(r)
	if p != nil {
		return p
	}
	j := s.jobs.Get().(*job)
	defer s.done(j)
	if p := refused(schemas.DecodeRequest(body, &j.request)); p != nil {
		return p
	}
	set := s.config.Live()
	if set == nil {
		return noModel()
	}
	c, p := s.claim(r, caller, body, 1)
	if p != nil {
		return p
	}
	j.apps = append(j.apps, j.request.Application)
	s.complete(&j.apps[0], j.request.HasAppliedAt, c, 0)
	before, p := s.readBack(r.Context(), c, 1, func(int) *schemas.Application { return &j.apps[0] })
	if p != nil {
		s.release(r.Context(), c)
		return p
	}
	if before != nil {
		if before[0].gone != nil {
			s.release(r.Context(), c)
			return before[0].gone
		}
		s.keep(r.Context(), c, true)
		if j.answer, p = appendAnswer(j.answer, set, before[0].prediction, detail); p != nil {
			return p
		}
		s.replay(w, j.answer)
		return nil
	}
	if c.whole() { // and nothing recorded: not a note of this program's
		return internalProblem()
	}
	if p := s.decide(r.Context(), set, j); p != nil {
		s.release(r.Context(), c)
		return p
	}
	recorded := j.errs[0] == nil
	if recorded {
		c.record(0, j.at[0])
	}
	s.keep(r.Context(), c, recorded)
	if !recorded {
		return unrecorded(j.apps[0].ApplicationID)
	}
	if j.answer, p = appendAnswer(j.answer, set, &j.predictions[0], detail); p != nil {
		return p
	}
	writeJSON(w, j.answer)
	return nil
}

// detailContributions is what ?detail= may ask for.
const detailContributions = "contributions"

func wantsDetail(r *http.Request) (bool, *problem) {
	if r.URL.RawQuery == "" {
		return false, nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, newProblem(http.StatusBadRequest, "query", "The query cannot be read", "")
	}
	switch v := q.Get("detail"); v {
	case "":
		return false, nil
	case detailContributions:
		return true, nil
	default:
		return false, broken(schemas.Violation{Field: "detail", Value: v[:min(len(v), 64)], Rule: "must be " + detailContributions})
	}
}

// refused is a request that could not be decoded.
func refused(err error) *problem {
	var (
		contract *schemas.ContractError
		decode   *schemas.DecodeError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &contract):
		return broken(contract.Violations...)
	case errors.As(err, &decode):
		return newProblem(http.StatusBadRequest, "json", "The body is not one JSON object", decode.Msg)
	}
	return newProblem(http.StatusBadRequest, "json", "The body is not one JSON object", "")
}

func noModel() *problem {
	return newProblem(http.StatusServiceUnavailable, "no-model", "No model serves yet", "").after(1)
}

// complete gives an application what its request left out. With an idempotency
// key every attempt gives it the same, so that a decision recorded twice can be told.
func (s *Server) complete(a *schemas.Application, hasAppliedAt bool, c *claim, index int) {
	switch {
	case hasAppliedAt:
	case c != nil:
		a.AppliedAt = c.note.AppliedAt
	default:
		a.AppliedAt = schemas.At(s.config.Now())
	}
	switch {
	case a.ApplicationID != "":
	case c != nil:
		a.ApplicationID = c.applicationID(index)
	default:
		a.ApplicationID = uuid.Must(uuid.NewV7()).String()
	}
}

// decide decides the job's applications under one live set and publishes the
// decisions. j.errs says which could not be recorded.
func (s *Server) decide(ctx context.Context, set *model.LiveSet, j *job) *problem {
	n := len(j.apps)
	if cap(j.predictions) < n {
		j.predictions = append(j.predictions[:cap(j.predictions)], make([]schemas.Prediction, n-cap(j.predictions))...)
	}
	if cap(j.errs) < n {
		j.errs, j.at = make([]error, n), make([]Position, n)
	}
	j.predictions, j.at, j.errs = j.predictions[:n], j.at[:n], j.errs[:n]
	if err := j.scorer.Decide(set, schemas.ChannelAPI, schemas.At(s.config.Now()), j.apps, j.predictions); err != nil {
		s.config.Log.Error("scoring failed", "model_version", set.Champion.Version, "error", err)
		return internalProblem()
	}
	// The decision is recorded also when the client goes away meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Limits.Publish)
	defer cancel()
	s.config.Publisher.Publish(ctx, j.predictions, j.at, j.errs)
	for i, err := range j.errs {
		if err != nil {
			s.metrics.unrecorded.Inc()
		} else {
			s.metrics.decisions.WithLabelValues(j.predictions[i].Decision).Inc()
		}
	}
	return nil
}

// served is the model of this live set that made a prediction; nil where that serves
// no more.
func served(set *model.LiveSet, p *schemas.Prediction) *model.Model {
	for _, m := range []*model.Model{set.Champion, set.Canary, set.Shadow} {
		if m != nil && m.Version == p.ModelVersion {
			return m
		}
	}
	return nil
}

// reasonText is what a prediction's reasons mean: as its model says or, where that
// serves no more, the champion.
func reasonText(set *model.LiveSet, p *schemas.Prediction) func(code string) string {
	if m := served(set, p); m != nil {
		return m.ReasonText
	}
	return set.Champion.ReasonText
}

// appendAnswer appends what POST /predict says about one application. The details of
// a model that serves no more are left out.
func appendAnswer(dst []byte, set *model.LiveSet, p *schemas.Prediction, detail bool) ([]byte, *problem) {
	dst = schemas.AppendAnswer(dst, p, reasonText(set, p))
	m := served(set, p)
	if !detail || m == nil {
		return dst, nil
	}
	var row [model.NumInputs]float32
	p.Features.Row(row[:])
	contributions, err := m.Contributions(row[:])
	if err != nil {
		return dst, internalProblem()
	}
	more, err := json.Marshal(struct {
		Base          float64              `json:"base"`
		Contributions []model.Contribution `json:"contributions"`
	}{m.Manifest.ExpectedValue, contributions})
	if err != nil {
		return dst, internalProblem()
	}
	dst[len(dst)-1] = ',' // the answer goes on
	return append(dst, more[1:]...), nil
}
