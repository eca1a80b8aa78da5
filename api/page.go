package api

import (
	_ "embed" // the page
	"errors"
	"fmt"
	"html"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/creditstream/creditstream/schemas"
)

// pagePolicy allows the page what is served here and nothing else, and the style
// of the drift report, whose hash it takes: with a key the page opens the report
// from memory, where the page's own policy holds.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' %s; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var (
	//go:embed page/index.html
	pageHTML string
	//go:embed page/page.css
	pageCSS []byte
	//go:embed page/page.js
	pageJS []byte
	//go:embed page/icon.svg
	pageIcon []byte
)

// page is the first page: decisions as they come, drift, and a form that asks for
// a decision.
type page struct {
	html   []byte
	policy string
}

// fieldsets are the features as a person would fill them in: every one, once, in
// the contract's order.
var fieldsets = []struct {
	legend, hint string
	labels       []string
}{
	{"Applicant", "sex 1 male, 2 female; education 1 graduate school, 2 university, 3 high school; marriage 1 married, 2 single", []string{"Credit limit", "Sex", "Education", "Marriage", "Age"}},
	{"Repayment", "months late; −2 no use, −1 paid in full, 0 revolving", []string{"last month", "2 back", "3 back", "4 back", "5 back", "6 back"}},
	{"Bill", "whole currency units", []string{"last month", "2 back", "3 back", "4 back", "5 back", "6 back"}},
	{"Paid", "whole currency units", []string{"last month", "2 back", "3 back", "4 back", "5 back", "6 back"}},
}

// example is an applicant such as the form and the documentation begin with: two
// months behind of late, most of the limit in use.
var example = schemas.Features{
	120000, 2, 2, 1, 37,
	2, 0, 0, 0, 0, -1,
	93400, 91200, 88700, 71500, 52300, 33100,
	0, 4000, 3500, 3000, 2500, 33100,
}

// Where the form's fields go, and the demo's choice of scenarios.
const (
	fieldsMark = "<!-- fields -->"
	demoMark   = "<!-- demo -->"
)

// newPage writes the contract's features and their limits into the form.
func (s *Server) newPage() (*page, error) {
	style, err := s.report.StyleHash()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	text := pageHTML
	for _, part := range []struct {
		mark  string
		write func(*strings.Builder)
	}{{demoMark, s.writeScenarios}, {fieldsMark, writeFields}} {
		before, after, ok := strings.Cut(text, part.mark)
		if !ok {
			return nil, errors.New("page: index.html has no place for " + part.mark)
		}
		b.WriteString(before)
		part.write(&b)
		text = after
	}
	b.WriteString(text)
	return &page{[]byte(b.String()), fmt.Sprintf(pagePolicy, style)}, nil
}

// writeScenarios writes the choice of what happens in a demo; elsewhere there is
// none.
func (s *Server) writeScenarios(b *strings.Builder) {
	if s.config.Demo == nil {
		return
	}
	b.WriteString(`<label for="scenario">What happens</label> <select id="scenario">`)
	for _, name := range s.config.Demo.Scenarios() {
		fmt.Fprintf(b, "<option>%s</option>", html.EscapeString(name))
	}
	b.WriteString("</select>")
}

func writeFields(b *strings.Builder) {
	next := 0
	for _, set := range fieldsets {
		fmt.Fprintf(b, "<fieldset>\n<legend>%s", html.EscapeString(set.legend))
		if set.hint != "" {
			fmt.Fprintf(b, " <small>%s</small>", html.EscapeString(set.hint))
		}
		b.WriteString("</legend>\n<div class=\"fields\">\n")
		rules := schemas.FeatureRules[next : next+len(set.labels)]
		for i, label := range set.labels {
			writeField(b, rules[i], label, example[next+i])
		}
		// What is wrong stands below the group, so that no field moves.
		b.WriteString("</div>\n")
		for _, rule := range rules {
			fmt.Fprintf(b, "<p class=\"error\" id=\"e-%s\"></p>\n", rule.Name)
		}
		b.WriteString("</fieldset>\n")
		next += len(rules)
	}
}

func writeField(b *strings.Builder, rule schemas.FeatureRule, label string, value int32) {
	fmt.Fprintf(b, `<p><label for="f-%[1]s" title="%[2]s">%[3]s</label>`+
		`<input id="f-%[1]s" name="%[1]s" type="number" inputmode="numeric" step="1" min="%[4]d" max="%[5]d" value="%[6]d" placeholder="missing" aria-describedby="e-%[1]s"></p>`+"\n",
		rule.Name, html.EscapeString(rule.Doc), html.EscapeString(label), rule.Min, rule.Max, value)
}

func (p *page) routes(r chi.Router) {
	get(r, "/", asset("text/html; charset=utf-8", p.policy, p.html))
	get(r, "/assets/page.css", asset("text/css; charset=utf-8", "", pageCSS))
	get(r, "/assets/page.js", asset("text/javascript; charset=utf-8", "", pageJS))
	get(r, "/assets/icon.svg", asset("image/svg+xml", "default-src 'none'; style-src 'unsafe-inline'", pageIcon))
}
