// Package registrytest makes a registry of tests answer as some do, and as what is in
// front of them does, where there is no schema to be had.
package registrytest

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// FirstRefused is the id of the first of Refusals; the others follow.
const FirstRefused = 9_000

// Refusal is an answer about an id that is not given, and what is quoted of it.
type Refusal struct {
	Quoted string
	answer http.HandlerFunc
}

// Refusals are such answers.
var Refusals = []Refusal{
	{"HTTP 403: denied by policy", says(http.StatusForbidden, `{"error_code":40301,"message":"denied by policy"}`)},
	{"HTTP 404: HTTP 404 Not Found", says(http.StatusNotFound, `{"error_code":404,"message":"HTTP 404 Not Found"}`)},
	{"HTTP 404: <html> <h1>not here [7m</h1>", says(http.StatusNotFound, "<html>\n<h1>not here\x1b[7m</h1>")},
	{"HTTP 500: store failed", says(http.StatusInternalServerError, `{"error_code":50001,"message":"store failed"}`)},
	{"/login: no schema in the answer: <html>please log in", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/login", http.StatusFound)
	}},
	{"HTTP 200: no schema in the answer: hello", says(http.StatusOK, "hello")},
	{"the answer exceeds 4 MiB", says(http.StatusOK, `{"schema":"`+strings.Repeat("x", 4<<20)+`"}`)},
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // who asked may have left
	}
}

// Refuse makes a registry answer so, and let nobody in while closed is set.
func Refuse(fake *srfake.Registry, closed *atomic.Bool) {
	fake.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if closed.Load() {
			says(http.StatusUnauthorized, "who are you?")(w, r)
			return true
		}
		if r.URL.Path == "/login" {
			says(http.StatusOK, "<html>please log in</html>")(w, r)
			return true
		}
		id, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/schemas/ids/"))
		n := id - FirstRefused
		if err != nil || n < 0 || n >= len(Refusals) {
			return false
		}
		Refusals[n].answer(w, r)
		return true
	})
}
