package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/creditstream/creditstream/schemas"
)

// lookupTimeout bounds one look-up.
const lookupTimeout = 2 * time.Second

// prediction is GET /predictions/{id}.
func (s *Server) prediction(w http.ResponseWriter, r *http.Request, _ string) *problem {
	id := chi.URLParam(r, "id")
	if r.URL.RawPath != "" { // chi has matched the path as it was escaped
		var err error
		if id, err = url.PathUnescape(id); err != nil {
			return newProblem(http.StatusBadRequest, "path", "The path cannot be read", "")
		}
	}
	if !utf8.ValidString(id) || !schemas.ValidApplicationID([]byte(id)) {
		return broken(schemas.Violation{Field: "id", Rule: "must be 1–128 bytes of UTF-8 without control characters"})
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTimeout)
	defer cancel()
	value, ok, err := s.config.Lookup.Prediction(ctx, id)
	switch {
	case errors.Is(err, ErrOtherLog):
		return newProblem(http.StatusServiceUnavailable, "lookup", "Predictions cannot be looked up", "Redis holds those of another Kafka cluster's deployment.")
	case err != nil:
		return newProblem(http.StatusServiceUnavailable, "lookup", "Predictions cannot be looked up now", "").after(1)
	case !ok:
		p := newProblem(http.StatusNotFound, "no-prediction", "No prediction of this application is known", "The view may be a moment behind.").after(1)
		p.ApplicationID = id
		return p
	}
	writeJSON(w, value)
	return nil
}
