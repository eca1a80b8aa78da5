package api

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

// The document for people says what the code says.
func document(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	require.NoError(t, err)
	return string(text)
}

func TestTheDocumentHasEveryProblem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	made := regexp.MustCompile(`newProblem\(http\.Status\w+, "([a-z-]+)"|problemType\+"([a-z-]+)"`)
	var inCode []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range made.FindAllStringSubmatch(string(text), -1) {
			inCode = append(inCode, m[1]+m[2])
		}
	}
	var inDocument []string
	for _, m := range regexp.MustCompile(`(?m)^\| \d{3} \| ([^|]+) \|`).FindAllStringSubmatch(document(t), -1) {
		inDocument = append(inDocument, strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune("`, ", r) })...)
	}
	slices.Sort(inCode)
	require.ElementsMatch(t, slices.Compact(inCode), inDocument)
}

func TestTheDocumentHasEveryRoute(t *testing.T) {
	t.Parallel()
	text := document(t)
	require.NoError(t, chi.Walk(newWorld(t).doc.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead && !slices.Contains(pages, route) {
			require.Contains(t, text, "`"+method+" "+route+"`")
		}
		return nil
	}))
}

func TestTheDocumentsExamplesAreWhatIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(document(t), -1)
	require.NotEmpty(t, blocks)
	schemasOf := []string{"Answer", "BatchAnswer", "Prediction", "", "Decisions", "DriftAlerts", "Problem"} // GET /model is shortened
	require.Len(t, blocks, len(schemasOf))
	for i, schema := range schemasOf {
		require.True(t, json.Valid([]byte(blocks[i][1])), blocks[i][1])
		if schema != "" {
			require.NoError(t, w.doc.valid(t, schema, blocks[i][1]))
		}
	}
	applicant := regexp.MustCompile(`(?s)<<'END'\n(.*?)\nEND`).FindStringSubmatch(document(t))
	a := w.answer(w.post("/predict", applicant[1]))
	shown := answered{}
	require.NoError(t, json.Unmarshal([]byte(blocks[0][1]), &shown))
	require.Equal(t, shown.Probability, a.Probability)
	require.Equal(t, shown.Reasons, a.Reasons)
	require.Equal(t, shown.PolicyVersion, a.PolicyVersion)
}
