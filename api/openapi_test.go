package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// pages are routes for people and their browsers, no part of the API.
var pages = []string{"/", "/docs", "/docs/docs.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/assets/page.css", "/assets/page.js", "/assets/icon.svg"}

func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	openAPIHasEveryRoute(t, newWorld(t))
	openAPIHasEveryRoute(t, newWorld(t, func(c *Config) { c.Demo = &fakeDemo{} }))
}

func openAPIHasEveryRoute(t *testing.T, w *world) {
	var routes, documented []string
	require.NoError(t, chi.Walk(w.doc.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead && !slices.Contains(pages, route) {
			routes = append(routes, method+" "+route)
		}
		return nil
	}))
	for path, operations := range w.doc.paths {
		for method := range operations {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	require.ElementsMatch(t, routes, documented)
}

func TestOpenAPIIsWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Demo = &fakeDemo{} })
	var doc map[string]any
	require.NoError(t, json.Unmarshal(w.get("/openapi.json").Body.Bytes(), &doc))
	require.Equal(t, "3.1.0", doc["openapi"])
	// Every reference leads somewhere, and every operation has what 3.1 asks for.
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				var target any = doc
				for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					m, _ := target.(map[string]any)
					target = m[part]
				}
				require.NotNil(t, target, "%s: %s", at, ref)
			}
			if id, ok := v["operationId"]; ok {
				require.NotEmpty(t, id, at)
				require.NotEmpty(t, v["responses"], at)
				require.NotEmpty(t, v["summary"], at)
			}
			for k, x := range v {
				walk(at+"/"+k, x)
			}
		case []any:
			for _, x := range v {
				walk(at, x)
			}
		}
	}
	walk("", doc)
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		_, err := w.doc.compiler.Compile(documentURL + "#/components/schemas/" + name)
		require.NoError(t, err, name)
	}
	for _, body := range []string{`{"applications":{}}`, `{}`} {
		require.Error(t, w.doc.valid(t, "BatchRequest", body))
	}
}

func TestPageAndDocumentationComeFromHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	total := 0
	for _, path := range pages {
		rec := w.get(path)
		require.Equal(t, http.StatusOK, rec.Code, path)
		require.NotEmpty(t, rec.Header().Get("ETag"), path)
		body := rec.Body.String()
		if !strings.HasPrefix(path, "/docs/swagger") {
			require.NotContains(t, strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "://", path)
			require.NotContains(t, body, "innerHTML", path)
			total += len(body)
		}
		again := w.get(path, "If-None-Match", rec.Header().Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.Code, path)
		require.Zero(t, again.Body.Len())
		require.Equal(t, http.StatusOK, w.do(http.MethodHead, path, "").Code)
	}
	require.Less(t, total, 48_000)
	style, err := w.server.report.StyleHash()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf(pagePolicy, style), w.get("/").Header().Get("Content-Security-Policy"))
	packed := w.get("/docs/swagger-ui.css", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"))
	require.Less(t, packed.Body.Len(), w.get("/docs/swagger-ui.css").Body.Len())

	html := w.get("/").Body.String()
	for i, rule := range schemas.FeatureRules {
		require.Contains(t, html, `name="`+rule.Name+`" type="number" inputmode="numeric" step="1" min="`+itoa(int(rule.Min))+`" max="`+itoa(int(rule.Max))+`" value="`+itoa(int(example[i]))+`"`)
	}
	w.answer(w.post("/predict", request(example)))
}
