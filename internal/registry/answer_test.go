package registry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// asked is what a client makes of an answer: words are what it quotes of a refusal,
// "" where it was silence.
func asked(t *testing.T, handler http.HandlerFunc) (words string, login bool, err error) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL})
	require.NoError(t, err)
	_, known, err := c.Schema(t.Context(), 7)
	require.False(t, known)
	require.Error(t, err)
	if refused, ok := errors.AsType[interface {
		error
		Refusal() (string, bool)
	}](err); ok {
		words, login = refused.Refusal()
		require.NotEmpty(t, words)
	}
	return words, login, err
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestSchema_AnAnswerOtherThanTheSchemaIsARefusal(t *testing.T) {
	login := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			http.Redirect(w, r, "/login?token=secret", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("<html>please log in</html>"))
	}
	nowhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/login", http.StatusFound)
	}
	for name, f := range map[string]struct {
		handler http.HandlerFunc
		words   string
		login   bool
	}{
		"403":                   {answering(403, `{"error_code":40301,"message":"denied by policy"}`), "HTTP 403: denied by policy", true},
		"401":                   {answering(401, "who are you?"), "HTTP 401: who are you?", true},
		"404 with another code": {answering(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`), "HTTP 404: HTTP 404 Not Found", false},
		"404 as HTML":           {answering(404, "<html>\n<h1>no such\x1b[31m page</h1>"), "HTTP 404: <html> <h1>no such [31m page</h1>", false},
		"500":                   {answering(500, `{"error_code":50001,"message":"store\r\nfailed"}`), "HTTP 500: store failed", false},
		"no body":               {answering(500, ""), "HTTP 500: no response", false},
		"a login page":          {login, "/login: no schema in the answer: <html>please log in</html>", true},
		"a login page away":     {nowhere, "redirected to http://127.0.0.1:1/login", true},
		"no JSON":               {answering(200, "hello"), "HTTP 200: no schema in the answer: hello", false},
		"other JSON":            {answering(200, `{"id":7}`), `HTTP 200: no schema in the answer: {"id":7}`, false},
		"no UTF-8":              {answering(400, "\xff\xfe\x00x"), "HTTP 400: x", false},
		"too large":             {answering(200, `{"schema":"`+strings.Repeat("x", maxAnswer)+`"}`), "the answer exceeds 4 MiB", false},
		"a long error":          {answering(500, strings.Repeat("é", 1<<20)), "…", false},
	} {
		t.Run(name, func(t *testing.T) {
			words, login, err := asked(t, f.handler)
			require.Contains(t, words, f.words)
			require.Equal(t, f.login, login)
			require.ErrorContains(t, err, "looking for schema id 7")
			require.Less(t, len(words), 400)
			require.Less(t, len(err.Error()), 600)
			require.False(t, strings.ContainsFunc(err.Error(), unicode.IsControl), err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestSchema_ARefusalMayAskToComeBackLater(t *testing.T) {
	for status, later := range map[int]bool{408: true, 425: true, 429: true, 502: true, 503: true, 504: true, 403: false, 500: false} {
		words, _, err := asked(t, answering(status, "<html>later</html>"))
		require.Contains(t, words, "later", status)
		refusal, ok := errors.AsType[*answerError](err)
		require.True(t, ok, status)
		require.Equal(t, later, refusal.Later(), status)
	}
}

func TestSchema_SilenceIsNoRefusal(t *testing.T) {
	words, _, _ := asked(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	require.Empty(t, words, "the connection broke")
	words, _, _ = asked(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"schema":`))
	})
	require.Empty(t, words, "the answer broke off")

	fake, c := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := c.Schema(ctx, 7)
	require.ErrorIs(t, err, context.Canceled)
	fake.Close()
	_, _, err = c.Schema(t.Context(), 7)
	_, refused := errors.AsType[*answerError](err)
	require.False(t, refused, err)
}

func TestGives_TellsWhetherASubjectMayBeRead(t *testing.T) {
	fake, c := start(t, srfake.WithAuth("Basic dXNlcjpwYXNz"))
	given, err := c.Gives(t.Context(), "t-value")
	require.ErrorContains(t, err, "HTTP 401")
	require.False(t, given)
	known, err := New(Config{URL: fake.URL(), User: "user", Password: "pass"})
	require.NoError(t, err)
	given, err = known.Gives(t.Context(), "t-value")
	require.Error(t, err)
	require.False(t, given)
	_, err = known.Register(t.Context(), "t-value", text)
	require.NoError(t, err)
	given, err = known.Gives(t.Context(), "t-value")
	require.NoError(t, err)
	require.True(t, given)
}

// What is no schema registry, such as another service's address, is named as that, with
// what it was asked for, and gives no id.
func TestStrangeAnswer_IsNamedWithoutGoTypes(t *testing.T) {
	for body, words := range map[string]string{
		`[1,2]`:                      "unexpected JSON array",
		`"hello"`:                    "unexpected JSON string",
		`{"id":"x","schema":"{}"}`:   "unexpected JSON string in id",
		`{"id":[1],"version":1}`:     "unexpected JSON array in id",
		`{"id":1e99,"version":1}`:    "unexpected JSON number",
		`<html>please log in</html>`: "it is not JSON",
		``:                           "it is not JSON",
		`{"id":1,`:                   "it is not JSON",
		`{}`:                         "id 0, expected 1",
		`null`:                       "id 0, expected 1",
		`{"id":-3}`:                  "id -3, expected 1",
		`{"id":4294967297}`:          "id 4294967297, expected 1",
		`{"id":` + strings.Repeat("9", 1000) + `}`: "unexpected JSON number",
	} {
		server := httptest.NewServer(answering(http.StatusOK, body))
		t.Cleanup(server.Close)
		c, err := New(Config{URL: server.URL})
		require.NoError(t, err)
		named := func(err error, doing, words string) {
			t.Helper()
			require.ErrorContains(t, err, "schema registry "+server.URL+": "+doing+" of t-value: "+notARegistry+": "+words, body)
			require.NotContains(t, err.Error(), "Go ", body)
			require.NotContains(t, err.Error(), "sr.", body)
			require.Less(t, len(err.Error()), 500)
			require.False(t, permanent(err), "another may answer in a moment")
		}
		_, err = c.Register(t.Context(), "t-value", text)
		named(err, "looking for the schema", words)
		if strings.HasPrefix(words, "id ") {
			continue
		}
		_, err = c.Gives(t.Context(), "t-value")
		named(err, "looking for the latest schema", words)
	}

	strangeToAll := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/versions") {
			answering(http.StatusNotFound, `{"error_code":40403,"message":"Schema not found"}`)(w, r)
			return
		}
		answering(http.StatusOK, `"hello"`)(w, r)
	}
	server := httptest.NewServer(http.HandlerFunc(strangeToAll))
	t.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL})
	require.NoError(t, err)
	_, err = c.Register(t.Context(), "t-value", text)
	require.ErrorContains(t, err, "registering the schema of t-value: "+notARegistry+": unexpected JSON string")
	_, err = c.Versions(t.Context(), "t-value")
	require.ErrorContains(t, err, "looking for the versions of t-value: "+notARegistry+": unexpected JSON string")
	err = c.RequireFullTransitive(t.Context(), "t-value")
	require.ErrorContains(t, err, "setting the compatibility of t-value: "+notARegistry+": unexpected JSON string")
}
