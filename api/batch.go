package api

import (
	"net/http"
	"strconv"

	"github.com/creditstream/creditstream/schemas"
)

// maxBatch is the most applications of one request.
const maxBatch = 1000

// predictBatch is POST /predict/batch: every application is decided under the
// same live set, all are published together, and one that is wrong fails alone.
func (s *Server) predictBatch(w http.ResponseWriter, r *http.Request, caller string, body []byte) *problem {
	j := s.jobs.Get().(*job)
	defer s.done(j)
	var err error
	if j.items, err = schemas.DecodeBatchRequest(body, j.items, maxBatch); err != nil {
		return refused(err)
	}
	set := s.config.Live()
	if set == nil {
		return noModel()
	}
	c, kept, p := s.claim(r, caller, body)
	if p != nil {
		return p
	}
	if kept != nil {
		s.replay(w, kept)
		return nil
	}
	for i := range j.items {
		if item := &j.items[i]; len(item.Violations) == 0 {
			s.complete(&item.Application, item.HasAppliedAt, c, i)
			j.apps = append(j.apps, item.Application)
		}
	}
	if p := s.decide(r.Context(), set, j); p != nil {
		s.settle(r.Context(), c, nil, false)
		return p
	}
	recorded := true
	j.answer = append(j.answer, `{"predictions":[`...)
	for i, k := 0, 0; i < len(j.items); i++ {
		if i > 0 {
			j.answer = append(j.answer, ',')
		}
		if broke := j.items[i].Violations; len(broke) > 0 {
			j.answer = appendFailed(j.answer, i, broken(broke...))
			continue
		}
		if prediction := &j.predictions[k]; j.errs[k] != nil {
			recorded = false
			j.answer = appendFailed(j.answer, i, unrecorded(prediction.ApplicationID))
		} else {
			j.answer = schemas.AppendAnswer(j.answer, prediction, served(set, prediction).ReasonText)
		}
		k++
	}
	j.answer = append(j.answer, `]}`...)
	// A retry is to try again what was not recorded.
	s.settle(r.Context(), c, j.answer, recorded)
	writeJSON(w, j.answer)
	return nil
}

func appendFailed(dst []byte, index int, p *problem) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"problem":`...)
	dst = append(dst, p.json()...)
	return append(dst, '}')
}
