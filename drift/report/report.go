// Package report shows a drift status to people: one page of HTML that loads
// nothing and runs nothing, to be looked at, sent on or printed.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// Edges are where a distribution's bins begin, by feature and "score" for the
// score's log-odds: bin i reaches from edge i-1 up to but not edge i. What is not
// in it has its bins numbered.
type Edges map[string][]float64

// Policy is the Content-Security-Policy that the page is made for: it has its style
// within and nothing else.
const Policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed page.html
var pageHTML string

// Writer writes pages. It is safe for concurrent use.
type Writer struct {
	page *template.Template
}

// NewWriter reads the page's template.
func NewWriter() (*Writer, error) {
	page, err := template.New("report").Funcs(template.FuncMap{
		"count": count, "percent": percent, "figure": figure, "chance": chance, "moment": moment, "mark": mark, "meaning": meaning, "remark": schemas.AlertRemark,
	}).Parse(pageHTML)
	return &Writer{page}, err
}

// Write writes the page of a status as it is now.
func (w *Writer) Write(to io.Writer, s *drift.Status, edges Edges, now time.Time) error {
	v := newView(s, edges)
	if s.Stale(now) {
		v.Old = ago(s.Age(now))
	}
	return w.page.Execute(to, v)
}

// EdgesOf are a reference's.
func EdgesOf(r *model.Reference) Edges {
	e := Edges{"score": r.Scores.Edges}
	for _, f := range r.Features {
		e[f.Name] = f.Edges
	}
	return e
}

// StyleHash is the page's style as a Content-Security-Policy names it: for a page
// that opens this one from memory, which hands its own policy down.
func (w *Writer) StyleHash() (string, error) {
	var page bytes.Buffer
	if err := w.Write(&page, &drift.Status{}, nil, time.Time{}); err != nil {
		return "", err
	}
	_, after, opened := bytes.Cut(page.Bytes(), []byte("<style>"))
	style, _, closed := bytes.Cut(after, []byte("</style>"))
	if !opened || !closed {
		return "", errors.New("report: the page has no style")
	}
	sum := sha256.Sum256(style)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", nil
}
