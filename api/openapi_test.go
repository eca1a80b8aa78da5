package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/api/feed"
	"github.com/creditstream/creditstream/drift"
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

// What the document says in numbers and names is what the code holds callers to.
func TestOpenAPI_SaysTheLimitsThatHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Demo = &fakeDemo{} })
	var doc any
	require.NoError(t, json.Unmarshal(w.get("/openapi.json").Body.Bytes(), &doc))
	at := func(path string) any {
		v := doc
		for part := range strings.SplitSeq(path, " ") {
			switch x := v.(type) {
			case map[string]any:
				v = x[part]
			case []any:
				i, err := strconv.Atoi(part)
				require.NoError(t, err, path)
				v = x[i]
			}
		}
		require.NotNil(t, v, path)
		return v
	}
	numbers := map[string]int{
		"paths /predict post parameters 0 schema maxLength":                             maxIdempotencyKey,
		"paths /predict/batch post parameters 0 schema maxLength":                       maxIdempotencyKey,
		"paths /predictions/{id} get parameters 0 schema maxLength":                     schemas.MaxApplicationID,
		"components schemas PredictRequest oneOf 0 properties application_id maxLength": schemas.MaxApplicationID,
		"components schemas PredictRequest oneOf 1 properties application_id maxLength": schemas.MaxApplicationID,
		"components schemas BatchRequest properties applications maxItems":              maxBatch,
		"components schemas Answer properties reasons maxItems":                         schemas.MaxReasons,
		"components schemas Decisions properties decisions maxItems":                    feed.Kept,
	}
	for path, want := range numbers {
		require.EqualValues(t, want, at(path), path)
	}
	names := map[string][]any{
		"paths /predict post parameters 1 schema enum":             {detailContributions},
		"components schemas Answer properties decision enum":       {schemas.Approve, schemas.Refer, schemas.Decline},
		"components schemas Summary properties decision enum":      {schemas.Approve, schemas.Refer, schemas.Decline},
		"components schemas Answer properties route enum":          {schemas.RouteChampion, schemas.RouteCanary},
		"components schemas Summary properties channel enum":       {schemas.ChannelStream, schemas.ChannelAPI},
		"components schemas DriftStatus properties state enum":     {drift.Quiet, drift.Watch, drift.Act},
		"components schemas DriftAlert properties state enum":      {schemas.AlertFiring, schemas.AlertResolved},
		"components schemas Replica properties decisions required": {schemas.Approve, schemas.Decline, schemas.Refer},
	}
	for path, want := range names {
		require.Equal(t, want, at(path), path)
	}
	shown := at("paths /predict post requestBody content application/json example features").(map[string]any)
	require.Len(t, shown, schemas.NumFeatures)
	for i, rule := range schemas.FeatureRules {
		require.EqualValues(t, example[i], shown[rule.Name], rule.Name)
	}
	// The Host is looked at, and whether a proxy forwards the request, before anything else.
	for path, operations := range at("paths").(map[string]any) {
		for method, operation := range operations.(map[string]any) {
			for _, status := range []string{"403", "421"} {
				require.Contains(t, operation.(map[string]any)["responses"], status, "%s %s", method, path)
			}
		}
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
