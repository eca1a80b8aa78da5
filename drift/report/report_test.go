package report

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

const at = schemas.Timestamp(1_764_100_000_000_000)

// ramp is n counts that rise or, with less below zero, fall.
func ramp(n, from, step int64) (counts []int64) {
	for i := range n {
		counts = append(counts, max(0, from+i*step))
	}
	return counts
}

func moved(name, state string, psi float64) drift.FeatureStatus {
	return drift.FeatureStatus{
		Feature: name, State: state, Evidence: 10 * psi, Threshold: 3, PSI: psi, JensenShannon: psi / 2, KS: psi / 3, Wasserstein: psi,
		ChiSquare: 100 * psi, ChiSquareP: 0.00001, Missing: 0.0001, OutOfRange: 0, Reference: ramp(18, 100, 10), Current: ramp(18, 300, -10),
	}
}

// whole is a status with everything in it: four windows, every feature, groups,
// outcomes of two versions.
func whole() *drift.Status {
	s := &drift.Status{
		EvaluatedAt: at, State: drift.Act, Decisions: 1_234_567, LastDecision: at - 1_000_000, ModelVersions: []string{"2026-11-23.1", "2026-12-01.1"},
		Reference: drift.ReferenceInfo{Digest: "sha256:" + strings.Repeat("ab", 32), ModelVersion: "2026-11-23.1", Rows: 24025},
		Alerts: []drift.AlertStatus{{Alert: schemas.Alert{
			Alert: "drift/limit_bal", State: schemas.AlertFiring, Since: at, EvaluatedAt: at, Statistic: "evidence", Value: 7.5, Threshold: 3,
			Window: schemas.AlertWindow{Name: "10000", From: at - 1e9, To: at, Decisions: 10012}, Contributors: []schemas.Contributor{{Feature: "limit_bal", PSI: 0.31}},
		}}},
		Outcomes: drift.OutcomeStatus{Read: 100, Matched: 90, Unmatched: 7, Duplicate: 3},
	}
	for i, name := range []string{"1000", "10000", "1h", "24h"} {
		w := drift.WindowStatus{Name: name, From: at - schemas.Timestamp(i+1)*1e9, To: at, Decisions: int64(1000 * (i + 1)), State: drift.Watch, Score: moved("score", drift.Watch, 0.12)}
		w.Score.Reference, w.Score.Current = ramp(162, 0, 1), ramp(162, 100, -1)
		for k, rule := range schemas.FeatureRules {
			f := moved(rule.Name, drift.Quiet, 0.001*float64(k))
			if name == "10000" && rule.Name == "limit_bal" {
				f, w.State = moved(rule.Name, drift.Act, 0.31), drift.Act
			}
			w.Features = append(w.Features, f)
		}
		w.Rates = drift.RateStatus{Approve: 0.61, Refer: 0.24, Decline: 0.15, DefaultExpected: 0.221, State: drift.Quiet, Evidence: 0.4, Threshold: 3}
		for _, g := range []string{"1", "2", "missing"} {
			w.Groups = append(w.Groups, drift.GroupStatus{Attribute: "sex", Group: g, Decisions: 500, Approved: 0.6, Ratio: 0.91, Lower: 0.85, Upper: 0.97, State: drift.Quiet})
		}
		s.Windows = append(s.Windows, w)
	}
	for _, v := range s.ModelVersions {
		p := drift.PerformanceStatus{ModelVersion: v, Loans: 4000, Defaulted: 500, AUC: 0.71, AUCError: 0.012, Gini: 0.42, KS: 0.31, Brier: 0.1, LogLoss: 0.34, ECE: 0.011, Observed: 0.125, Expected: 0.13, Lower: 0.115, Upper: 0.136, State: drift.Quiet}
		for b := range 10 {
			p.Bands = append(p.Bands, drift.BandStatus{From: float64(b) - 5, To: float64(b) - 4, Loans: 400, Defaulted: int64(5 * b), Observed: 0.0125 * float64(b), Expected: 0.013 * float64(b), Lower: 0.01 * float64(b), Upper: 0.02 * float64(b)})
		}
		s.Outcomes.Versions = append(s.Outcomes.Versions, p)
	}
	return s
}

// edges are bins such as those of the amounts.
func edges() Edges {
	e := Edges{}
	for _, rule := range schemas.FeatureRules {
		for i := range 17 {
			e[rule.Name] = append(e[rule.Name], float64(rule.Min)+1+float64(i))
		}
	}
	for i := range 161 {
		e["score"] = append(e["score"], -8+float64(i)/10)
	}
	return e
}

func page(t *testing.T, s *drift.Status, e Edges) string {
	t.Helper()
	w, err := NewWriter()
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, w.Write(&b, s, e, s.EvaluatedAt.Time()))
	return b.String()
}

// elements are those of a page that a condition holds for.
func elements(t *testing.T, text string, want func(*html.Node) bool) (found []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && want(n) {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestAWholePageIsSmallAndLoadsNothing(t *testing.T) {
	t.Parallel()
	text := page(t, whole(), edges())
	require.Less(t, len(text), 300_000)
	require.Empty(t, elements(t, text, func(n *html.Node) bool {
		return n.Data == "script" || n.Data == "link" || n.Data == "img" || n.Data == "iframe" || attribute(n, "src") != "" || attribute(n, "href") != "" || attribute(n, "style") != ""
	}))
	require.NotContains(t, text, "url(")
	require.NotContains(t, text, "@import")
	require.NotContains(t, text, "ZgotmplZ", "the template refused a value")
	if dir := os.Getenv("CREDITSTREAM_SCREENSHOTS"); dir != "" {
		require.NoError(t, os.WriteFile(dir+"/drift_report.html", []byte(text), 0o644))
	}
}

func TestFeaturesStandBySeverity(t *testing.T) {
	t.Parallel()
	s := whole()
	w := &s.Windows[1]
	w.Features[3] = moved("marriage", drift.Watch, 0.01)
	w.Features[7] = moved("pay_3", drift.Act, 0.9)
	text := page(t, s, edges())
	open := elements(t, text, func(n *html.Node) bool {
		return n.Data == "details" && strings.Contains(words(n), "10,000 decisions") && len(n.Attr) == 2
	})
	require.Len(t, open, 1, "one window is open, the worst")
	var names []string
	for n := range open[0].Descendants() {
		if n.Type == html.ElementNode && n.Data == "th" && attribute(n, "scope") == "row" {
			names = append(names, words(n))
		}
	}
	require.Equal(t, []string{"score", "pay_3", "limit_bal", "marriage", "pay_amt6"}, names[:5])
	overview := elements(t, text, func(n *html.Node) bool { return attribute(n, "id") == "overview" })
	require.Len(t, overview, 1)
	require.Contains(t, words(overview[0]), "10,000 decisions", "the windows' names head it")
	rows := elements(t, text, func(n *html.Node) bool { return n.Data == "section" && attribute(n, "id") == "overview" })
	var first string
	for n := range rows[0].Descendants() {
		if n.Type == html.ElementNode && n.Data == "th" && attribute(n, "scope") == "row" {
			first = words(n)
			break
		}
	}
	require.Equal(t, "pay_3", first)
}

// Of rows of the same state, evidence that chance alone makes does not put one above
// another.
func TestEvidenceBelowWatchOrdersNothing(t *testing.T) {
	t.Parallel()
	s := whole()
	w := &s.Windows[1]
	w.Features[0] = moved("limit_bal", drift.Quiet, 0.02)
	w.Features[5], w.Features[21] = moved("pay_0", drift.Quiet, 0.948), moved("pay_amt5", drift.Quiet, 0.004)
	w.Features[5].Threshold, w.Features[5].Evidence = 8, 0.1
	w.Features[21].Threshold, w.Features[21].Evidence = 8, 3.9
	v := newWindow(w, nil, true)
	require.Equal(t, "pay_0", v.Features[0].Feature)
	w.Features[21].Evidence, w.Features[21].State = 4.1, drift.Watch
	w.Features[5].Evidence, w.Features[5].State = 4.05, drift.Watch
	v = newWindow(w, nil, true)
	require.Equal(t, []string{"pay_amt5", "pay_0"}, []string{v.Features[0].Feature, v.Features[1].Feature}, "what counts comes before PSI")
}

func TestAnAlertAboutLoansIsNotOfDecisions(t *testing.T) {
	t.Parallel()
	s := whole()
	require.Contains(t, page(t, s, nil), "10,012 decisions <small>10000</small>")
	s.Alerts[0].Window = schemas.AlertWindow{Name: schemas.WindowOutcomes, Decisions: 4012}
	require.Contains(t, page(t, s, nil), "4,012 loans <small>outcomes</small>")
}

func TestNothingCountedIsNotCalledNothingDecided(t *testing.T) {
	t.Parallel()
	s := whole()
	s.Alerts[0].Alert.Alert = "no-decisions"
	require.Regexp(t, `no-decisions <small>nothing was counted</small>`, page(t, s, nil))
}

func TestTextIsEscaped(t *testing.T) {
	t.Parallel()
	s := whole()
	const evil = `"><script>alert(1)</script><b title='`
	s.ModelVersions = []string{evil}
	s.Reference.ModelVersion, s.State, s.Windows[0].Name, s.Windows[0].State = evil, evil, evil, evil
	s.Windows[0].Features[0].Feature, s.Windows[0].Groups[0].Group = evil, evil
	s.Alerts[0].Alert.Alert, s.Alerts[0].Contributors[0].Feature = evil, evil
	s.Outcomes.Versions[0].ModelVersion = evil
	text := page(t, s, edges())
	require.Empty(t, elements(t, text, func(n *html.Node) bool { return n.Data == "script" }))
	require.Contains(t, text, "&lt;script&gt;")
}

func TestAlerts_AreOfTheMomentTheyFired(t *testing.T) {
	t.Parallel()
	s := whole()
	s.Alerts[0].Now = &drift.AlertFigures{EvaluatedAt: at, Statistic: "evidence", Value: 2.25, Threshold: 20}
	text := page(t, s, edges())
	for _, want := range []string{"Value then", `<td data-label="Value then" class="n">7.500</td>`, `<td data-label="Now" class="n">2.250 <small>of 20.0</small></td>`} {
		require.Contains(t, text, want)
	}
}

func TestStretch_SaysWhichAlertsFiredOrThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := whole()
	s.Windows = s.Windows[:1]
	s.Windows[0].Name = drift.WindowStretch
	s.Alerts[0].State = schemas.AlertResolved
	text := page(t, s, nil)
	require.Contains(t, text, "none firing at its end, 1 fired and was over before")
	require.Contains(t, text, "drift/limit_bal")
	require.NotContains(t, text, `data-label="Now"`)
	s.AlertsUnknown = "nobody watched before noon"
	text = page(t, s, nil)
	require.Contains(t, text, "not known at its end, 1 fired and was over before")
	require.Contains(t, text, "Whether others fired is not known of the whole stretch: nobody watched before noon.")
	s.Alerts, s.AlertsUnknown = nil, ""
	require.Contains(t, page(t, s, nil), "No alert fired in this stretch.")
	s.AlertsUnknown = "nobody watched"
	text = page(t, s, nil)
	require.Contains(t, text, "Which alerts fired is not known: nobody watched.")
	require.NotContains(t, text, "No alert")
	require.NotContains(t, text, "none firing")
}

func TestUnwatched_IsSaid(t *testing.T) {
	t.Parallel()
	s := whole()
	require.NotContains(t, page(t, s, nil), "ot watched")
	s.Reference.Unwatched = []model.Unwatched{{Feature: "pay_amt6", Why: "one bin"}}
	text := page(t, s, nil)
	require.Contains(t, text, "<dt>Not watched</dt><dd>pay_amt6: one bin</dd>")
	require.Contains(t, text, "pay_amt6 <small>values not watched</small>")
	require.NotContains(t, text, "pay_amt5 <small>values not watched</small>")
}

func TestAPageOfNothing(t *testing.T) {
	t.Parallel()
	text := page(t, &drift.Status{State: drift.Quiet, EvaluatedAt: at}, nil)
	for _, want := range []string{"No alert fires", "No decisions were counted", "No outcome has been matched", "none firing"} {
		require.Contains(t, text, want)
	}
	s := &drift.Status{State: drift.Quiet, Windows: []drift.WindowStatus{{Name: "1h", Features: []drift.FeatureStatus{{Feature: "age", Evidence: math.NaN()}}}}}
	text = page(t, s, nil)
	require.NotContains(t, text, "NaN")
	require.NotContains(t, text, `id="overview"`, "one window needs none")
}

func TestABarSaysWhatItIs(t *testing.T) {
	t.Parallel()
	text := page(t, whole(), edges())
	var titles []string
	for _, n := range elements(t, text, func(n *html.Node) bool { return n.Data == "title" && n.Parent.Data == "rect" }) {
		titles = append(titles, words(n))
	}
	require.Contains(t, titles, "1: 3.0 % in the reference, 7.8 % now", "limit_bal's first bin holds the least there is")
	require.Condition(t, func() bool {
		for _, s := range titles {
			if strings.HasPrefix(s, "risk below 0.0335 % to risk ") {
				return true
			}
		}
		return false
	}, "scores are told as risks, some bins together")
}

func TestBinNames(t *testing.T) {
	t.Parallel()
	f := func(feature string, edges []float64, n int, want ...string) {
		t.Helper()
		require.Equal(t, want, binNames(feature, edges, n))
	}
	f("sex", []float64{2}, 2, "1", "2")
	f("pay_0", []float64{-1, 0, 1}, 4, "−2", "−1", "0", "1 … 9")
	f("limit_bal", []float64{20000, 30000}, 3, "1 … 19,999", "20,000 … 29,999", "30,000 … 2,796,202")
	f("bill_amt1", []float64{0}, 2, "−2,796,202 … −1", "0 … 2,796,202")
	f("other", []float64{5, 6}, 3, "below 5", "5", "6 and more")
	f("other", nil, 2, "bin 1", "bin 2")
	f("other", []float64{1, 2, 3}, 2, "bin 1", "bin 2")
	f("score", []float64{0}, 2, "risk below 50 %", "risk from 50 %")
	require.Empty(t, binNames("age", nil, 0))
}

func TestCharts(t *testing.T) {
	t.Parallel()
	c := newChart([]int64{1, 1, 0}, []int64{0, 2, 0}, []string{"a", "b", "c"})
	require.Equal(t, "M0 40V20H100V20H200V40Z", c.Reference)
	require.Equal(t, "M0 40V40H100V0H200V40", c.Current)
	require.Equal(t, []bar{{0, 100, "a", 0.5, 0}, {100, 100, "b", 0.5, 1}}, c.Bars, "a bin at the end that neither has is left out")
	require.Zero(t, newChart([]int64{0, 0}, []int64{0, 0}, nil))
	require.Zero(t, newChart([]int64{1}, []int64{1, 2}, nil), "other bins are not drawn over each other")
	require.Zero(t, newChart(nil, nil, nil))

	wide := newChart(ramp(162, 1, 0), ramp(162, 1, 0), binNames("score", edges()["score"], 162))
	require.LessOrEqual(t, len(wide.Bars), mostBars)
	total := 0.0
	for _, b := range wide.Bars {
		total += b.Current
	}
	require.InDelta(t, 1, total, 1e-9)
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0.000", 0.31: "0.310", 12.345: "12.3", 1234.5: "1,235", -0.5: "-0.500", math.Inf(1): "–", math.MaxFloat64: "–"} {
		require.Equal(t, want, figure(v))
	}
	for v, want := range map[float64]string{0: "0.0 %", 0.0001: "<0.1 %", 0.2215: "22.1 %", 1: "100.0 %"} {
		require.Equal(t, want, percent(v))
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "−1,234,567"} {
		require.Equal(t, want, count(n))
	}
	require.Equal(t, "<0.0001", chance(1e-9))
	require.Equal(t, "0.0312", chance(0.0312))
	for name, want := range map[string]string{"1000": "Last 1,000 decisions or a few more", "1h": "Last hour", "24h": "Last 24 hours", "1m": "Last minute", "30m": "Last 30 minutes", "10s": "Last 10s", "stretch": "stretch"} {
		require.Equal(t, want, windowTitle(name))
	}
	require.Equal(t, "–", moment(0))
	require.Equal(t, "2025-11-25 19:46:40 UTC", moment(at))
}

// Whatever the counts, a page is written, and nothing in it is not a number.
func FuzzPage(f *testing.F) {
	f.Add("limit_bal", uint32(3), uint32(0), 0.3, 1.0)
	f.Add("<b>", uint32(0), uint32(math.MaxUint32), math.NaN(), math.Inf(1))
	f.Fuzz(func(t *testing.T, name string, a, b uint32, x, y float64) {
		s := whole()
		w := &s.Windows[0]
		w.Features[0] = drift.FeatureStatus{Feature: name, PSI: x, Evidence: y, Threshold: x, Reference: []int64{int64(a), int64(b)}, Current: []int64{int64(b), int64(a)}}
		w.Groups[0] = drift.GroupStatus{Attribute: name, Group: name, Ratio: x, Lower: y, Upper: x}
		s.Outcomes.Versions[0].Bands[0] = drift.BandStatus{From: x, To: y, Observed: x, Upper: y}
		text := page(t, s, edges())
		for _, n := range elements(t, text, func(n *html.Node) bool {
			return n.Data == "path" || n.Data == "rect" || n.Data == "line" || n.Data == "circle"
		}) {
			require.NotContains(t, fmt.Sprint(n.Attr), "NaN")
			require.NotContains(t, fmt.Sprint(n.Attr), "Inf")
		}
	})
}

func TestAgesArePutInTheirLargestUnit(t *testing.T) {
	t.Parallel()
	f := func(want string, d time.Duration) {
		t.Helper()
		require.Equal(t, want, ago(d))
	}
	f("31 seconds", 31500*time.Millisecond)
	f("119 seconds", 119*time.Second)
	f("2 minutes", 179*time.Second)
	f("119 minutes", 2*time.Hour-time.Second)
	f("47 hours", 48*time.Hour-time.Second)
	f("3 days", 80*time.Hour)
}

// Many bins make much PSI by chance: what is first has moved.
func TestQuietFeaturesAreSortedByThePSIThatDecides(t *testing.T) {
	t.Parallel()
	few := drift.FeatureStatus{State: drift.Quiet, PSI: 0.029, PSIAllBins: 0.03}
	score := drift.FeatureStatus{State: drift.Quiet, PSI: 0, PSIAllBins: 0.054}
	require.Negative(t, bySeverity(&few, &score))
	score.PSI = 0.2
	require.Positive(t, bySeverity(&few, &score))
	few.State = drift.Watch
	require.Negative(t, bySeverity(&few, &score), "the state goes before it")
}
