package api

import (
	"net/http"
	"strconv"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// maxBatch is the most applications of one request.
const maxBatch = 1000

// predictBatch is POST /predict/batch: every application is decided under the
// same live set, all are published together, and one that is wrong fails alone. What
// an attempt before this one recorded stays as it is.
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
	var c *claim
	if decidable(j.items) { // otherwise there is nothing to be kept
		var p *problem
		if c, p = s.claim(r, caller, body, len(j.items)); p != nil {
			return p
		}
	}
	for i := range j.items {
		s.complete(&j.items[i].Application, j.items[i].HasAppliedAt, c, i)
	}
	before, p := s.readBack(r.Context(), c, len(j.items), func(i int) *schemas.Application {
		if len(j.items[i].Violations) > 0 && c.recorded(i) == nil {
			return nil
		}
		return &j.items[i].Application
	})
	if p != nil {
		s.release(r.Context(), c)
		return p
	}
	for i := range j.items {
		if item := &j.items[i]; len(item.Violations) == 0 && c.recorded(i) == nil && !c.whole() {
			j.apps, j.indexes = append(j.apps, item.Application), append(j.indexes, i)
		}
	}
	if len(j.apps) > 0 {
		if p := s.decide(r.Context(), set, j); p != nil {
			s.release(r.Context(), c)
			return p
		}
	}
	recorded := true
	for k, i := range j.indexes {
		if j.errs[k] != nil {
			recorded = false
		} else {
			c.record(i, j.at[k])
		}
	}
	s.keep(r.Context(), c, recorded)
	j.appendBatch(set, before)
	if c != nil && len(j.apps) == 0 {
		s.replay(w, j.answer)
	} else {
		writeJSON(w, j.answer)
	}
	return nil
}

// decidable says whether anything of a batch can be decided.
func decidable(items []schemas.BatchItem) bool {
	for i := range items {
		if len(items[i].Violations) == 0 {
			return true
		}
	}
	return false
}

// appendBatch appends what is said about every application: what was recorded before,
// or what was decided now, or why neither.
func (j *job) appendBatch(set *model.LiveSet, before []earlier) {
	j.answer = append(j.answer, `{"predictions":[`...)
	for i, k := 0, 0; i < len(j.items); i++ {
		if i > 0 {
			j.answer = append(j.answer, ',')
		}
		switch {
		case before != nil && before[i].gone != nil:
			j.answer = appendFailed(j.answer, i, before[i].gone)
		case before != nil && before[i].prediction != nil:
			p := before[i].prediction
			j.answer = schemas.AppendAnswer(j.answer, p, reasonText(set, p))
		case k < len(j.indexes) && j.indexes[k] == i:
			if p := &j.predictions[k]; j.errs[k] != nil {
				j.answer = appendFailed(j.answer, i, unrecorded(p.ApplicationID))
			} else {
				j.answer = schemas.AppendAnswer(j.answer, p, reasonText(set, p))
			}
			k++
		case len(j.items[i].Violations) > 0:
			j.answer = appendFailed(j.answer, i, broken(j.items[i].Violations...))
		default: // valid by now, and not when all the rest was decided
			j.answer = appendFailed(j.answer, i, refusedBefore())
		}
	}
	j.answer = append(j.answer, `]}`...)
}

// refusedBefore is an application that broke a rule when its request was answered,
// and breaks none now.
func refusedBefore() *problem {
	p := broken(schemas.Violation{Field: "Idempotency-Key", Rule: "must be another one: the first attempt under this key refused the application"})
	return p
}

func appendFailed(dst []byte, index int, p *problem) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"problem":`...)
	dst = append(dst, p.json()...)
	return append(dst, '}')
}
