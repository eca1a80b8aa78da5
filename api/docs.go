package api

import (
	_ "embed" // the viewer's page
	"fmt"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui/v5/static"
)

// docsPolicy lets the viewer load what is served here and style itself; nothing
// comes from elsewhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var (
	//go:embed page/docs.html
	docsHTML []byte
	//go:embed page/docs.js
	docsJS []byte
)

// docs is the API's reference as a page: Swagger UI, out of the binary.
func docs(r chi.Router) error {
	get(r, "/docs", asset("text/html; charset=utf-8", docsPolicy, docsHTML))
	get(r, "/docs/docs.js", asset("text/javascript; charset=utf-8", "", docsJS))
	for name, contentType := range map[string]string{
		"swagger-ui.css":       "text/css; charset=utf-8",
		"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
	} {
		body, err := static.FS.ReadFile(name + ".gz")
		if err != nil {
			return fmt.Errorf("documentation page: %w", err)
		}
		get(r, "/docs/"+name, packed(contentType, body))
	}
	return nil
}
