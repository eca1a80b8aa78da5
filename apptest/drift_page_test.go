//go:build browser

package apptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// noticed is how long a demo may take to see what happens, and that it is over.
const noticed = 2 * time.Minute

// eventually waits longer than a page takes: for what the demo has to see first.
func (b *tab) eventually(condition string) {
	b.t.Helper()
	until(b.t, noticed, condition, func() bool {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](condition))
		return err == nil && ok
	})
}

// choose selects an entry as a visitor does.
func (b *tab) choose(selector, entry string) {
	b.t.Helper()
	value[bool](b, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = %q; s.dispatchEvent(new Event("change")); return true; })()`, selector, entry))
}

const driftIs = `document.querySelector("#drift-state").textContent`

func TestThePageShowsDrift(t *testing.T) {
	d, home := demo(t, t.TempDir(), "127.0.0.1:0", "--rate", "600") // what is seen follows decisions, not time
	b := openTab(t, home)
	b.look(1200, "light")
	b.open("/")
	b.waitFor(isLive + ` && document.querySelector("#scenario").value === "steady"`)
	b.eventually(`/quiet|watch/.test(` + driftIs + `)`)
	b.eventually(`/^Of [\d,]+ loans [\d.]+ % were not paid back; the model expected [\d.]+ %\.$/.test(document.querySelector("#loans").textContent.trim())`)
	require.Empty(t, b.text("#alerts"))
	b.screenshot("drift-quiet")
	b.clean()

	b.choose("#scenario", "recession")
	// A recession moves every payment status, and the score with them: which is told of
	// first is chance.
	b.eventually(`[...document.querySelectorAll("#alerts li.firing")].some((e) => /drift\/pay_\d PSI \d\.\d\d when it fired, since/.test(e.textContent) && /moved: pay_\d \(PSI/.test(e.title))`)
	require.Contains(t, b.text("#drift-state"), "act")
	d.says(regexp.MustCompile(`alert     firing: .*drift/pay_\d \(PSI`))
	// What the loans became is known later.
	b.eventually(`[...document.querySelectorAll("#alerts li.firing")].some((e) => /performance\/.* since/.test(e.textContent) && /^default_rate 0\.\d+, threshold 0\.\d+, over [\d,]+ loans/.test(e.title))`)
	b.screenshot("drift-page")
	for _, width := range []int64{390, 820, 1200} {
		b.look(width, "light")
		require.True(t, value[bool](b, `document.documentElement.scrollWidth <= innerWidth`), "nothing runs out of the page at %d", width)
	}
	theReportShowsIt(b)

	b.open("/")
	b.waitFor(isLive + ` && document.querySelector("#scenario").value === "recession"`) // the page knows what is in force
	b.choose("#scenario", "steady")
	b.eventually(`document.querySelectorAll("#alerts li").length > 0 && document.querySelectorAll("#alerts li.firing").length === 0`)
	b.screenshot("drift-over")
	d.says(regexp.MustCompile(`alert     over: .*drift/pay_\d`))
	d.says(regexp.MustCompile(`alert     over: .*performance/`))
	b.clean()
}

// theReportShowsIt opens the report and looks at it in light, dark and print.
func theReportShowsIt(b *tab) {
	b.t.Helper()
	b.click("#drift-report")
	b.waitFor(`document.title.startsWith("Drift: act")`)
	require.Contains(b.t, b.text("#alerts"), "drift/pay_")
	require.Regexp(b.t, `[1-9][\d,]* matched to a decision, 0 unmatched, 0 told twice`, b.text("#outcomes"))
	worst := value[[]string](b, `[...document.querySelectorAll("details[open] tbody")].slice(0, 1).flatMap((t) => [...t.querySelectorAll("th")].map((e) => e.textContent))`)
	require.Equal(b.t, "score", worst[0])
	require.True(b.t, strings.HasPrefix(worst[1], "pay_"), worst)
	require.Len(b.t, worst, 24)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1280} {
			b.look(width, scheme)
			require.True(b.t, value[bool](b, `document.documentElement.scrollWidth <= innerWidth`), "nothing runs out of the page at %d", width)
		}
		b.screenshot("drift-report-" + scheme)
		value[bool](b, `document.querySelector("#outcomes").scrollIntoView() === undefined`)
		b.screenshot("drift-report-outcomes-" + scheme)
		value[bool](b, `scrollTo(0, 0) === undefined`)
	}
	// Every chart has its line, as wide as the chart, and bars that say what they are.
	require.True(b.t, value[bool](b, `[...document.querySelectorAll("details[open] svg.c")].every((s) => s.querySelector(".k").getBBox().width === 200 && s.querySelectorAll("title").length > 1)`))
	pdf := b.printed()
	require.Greater(b.t, len(pdf), 20_000)
	b.clean()
}

// printed is the page as a printer gets it; it is kept beside the pictures.
func (b *tab) printed() []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.Call(ctx, page.PrintToPDF, page.PrintToPDFParams{PrintBackground: new(true), PreferCSSPageSize: new(true)})
	require.NoError(b.t, err)
	dir := os.Getenv("CREDITSTREAM_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", ".cache", "screenshots")
	}
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, "drift-report.pdf"), answer.Data, 0o644))
	return answer.Data
}
