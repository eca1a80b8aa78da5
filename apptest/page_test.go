//go:build browser

package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// total is the page's count of decisions.
const total = `Number(document.querySelector("#total").textContent.replace(/\D/g, ""))`

// isLive holds while the page is connected.
const isLive = `document.querySelector("#state").classList.contains("on")`

func (b *tab) goesOn() {
	b.t.Helper()
	b.waitFor(fmt.Sprintf("%s && %s > %d", isLive, total, value[int](b, total)+200))
}

func TestThePageOfADemo(t *testing.T) {
	dir := t.TempDir()
	d, home := demo(t, dir, "127.0.0.1:0")
	b := openTab(t, home)
	b.look(1200, "light")
	b.open("/")
	b.waitFor(isLive + ` && document.querySelector("#model").textContent.includes("-demo")`)
	b.goesOn()
	b.clean()

	decisionsFit(b)
	decisionsAreNewestFirst(b)
	aDecisionOpens(b)
	theFormDecides(b)
	aFieldIsRefused(b)
	theDocumentationOpens(b)

	b.open("/")
	b.waitFor(isLive)
	scorer := childOf(t, d)
	require.NoError(t, syscall.Kill(scorer, syscall.SIGKILL))
	until(t, patience, "another scorer runs", func() bool {
		return strings.Contains(string(d.stderr.bytes()), "the scorer ended") && childOf(t, d) != 0
	})
	require.NotEqual(t, scorer, childOf(t, d))
	b.goesOn()
	b.clean()

	d.terminate()
	b.waitFor(`document.querySelector("#state").textContent.startsWith("connection lost")`)
	b.screenshot("lost")
	demo(t, dir, strings.TrimPrefix(home, "http://"))
	b.waitFor(isLive)
	b.goesOn()
	b.screenshot("back")
	b.clean("net::ERR_")
}

func TestThePageSaysThatNothingIsNew(t *testing.T) {
	a := start(t, "demo", "demo", "--data-dir", t.TempDir(), "--api-listen", "127.0.0.1:0", "--decisions", "20")
	b := openTab(t, pageOf(a, pageAt))
	b.open("/")
	b.waitFor(total + " === 20")
	b.waitFor(isLive + ` && document.querySelector("#state").textContent.startsWith("nothing new since ")`)
	b.waitFor(`document.querySelector("#rate").textContent === "0"`)
	require.Len(t, value[[]string](b, `[...document.querySelectorAll("#rows td.id")].map((e) => e.textContent)`), 20)
	b.click("#submit")
	b.waitFor(total + ` === 21 && document.querySelector("#state").textContent === "live"`)
	b.clean()
}

// What a component waits for is on the page, too: here a producer that opened a
// transaction on applications and stopped.
func TestThePageSaysWhatIsWaitedFor(t *testing.T) {
	d, home := demo(t, t.TempDir(), "127.0.0.1:0")
	b := openTab(t, home)
	b.look(1200, "light")
	b.open("/")
	b.waitFor(isLive)
	kafka := d.says(regexp.MustCompile(`Kafka +(\S+?),`))[1]
	hangs, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.TransactionalID("hangs"))
	require.NoError(t, err)
	defer hangs.Close()
	require.NoError(t, hangs.BeginTransaction())
	require.NoError(t, hangs.ProduceSync(t.Context(), &kgo.Record{Topic: "credit.applications", Value: []byte("{}")}).FirstErr())
	b.eventually(`[...document.querySelectorAll("#waits li")].some((e) => /^score\/.* waits: .*behind an open transaction on credit\.applications\//.test(e.textContent))`)
	b.screenshot("waits")
	require.NoError(t, hangs.EndTransaction(t.Context(), kgo.TryAbort))
	b.eventually(`document.querySelectorAll("#waits li").length === 0`)
	b.clean()
}

func TestThePageAsksForAKey(t *testing.T) {
	s := embedded(t)
	run(t, "topics", "apply", "--brokers", s.kafka, "--partitions", "2", "--replication", "1")
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("shop:0123456789abcdef\n"), 0o600))
	a := start(t, "api", "api", "--api-listen", "127.0.0.1:0", "--model", "shipped", "--api-keys", keys, "--brokers", s.kafka, "--redis", s.redis)
	b := openTab(t, pageOf(a, regexp.MustCompile(`the API answers" address=(http://\S+)`)))
	b.open("/")
	b.waitFor(`!document.querySelector("#access").hidden`)
	require.Equal(t, "a key is needed", b.text("#state"))
	b.clean("status of 401")
	b.typeIn("#key", "a-key-that-nobody-has")
	b.click("#access button")
	b.waitFor(`document.querySelector("#access-error").textContent !== ""`)
	b.clean("status of 403")
	b.typeIn("#key", "0123456789abcdef")
	b.click("#access button")
	b.waitFor(isLive + ` && document.querySelector("#access").hidden`)
	b.click("#submit")
	b.waitFor(`document.querySelector("#answer .verdict") !== null && ` + total + " === 1")
	b.clean()
}

// decisionsFit: nothing has to be scrolled sideways, and every reason shows whole.
func decisionsFit(b *tab) {
	for _, width := range []int64{1200, 800, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.look(width, scheme)
			wide := value[[]string](b, `[...document.querySelectorAll("html, .scroll, #rows td, #counters, #form, .fields p")].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.tagName + "." + e.className + " " + e.innerText)`)
			require.Empty(b.t, wide, "at %d pixels", width)
			b.screenshot(fmt.Sprintf("live-%d-%s", width, scheme))
		}
	}
	b.look(1200, "light")
	b.clean()
}

func decisionsAreNewestFirst(b *tab) {
	times := value[[]string](b, `[...document.querySelectorAll("#rows td.time")].map((e) => e.textContent)`)
	require.Greater(b.t, len(times), 20)
	require.IsNonIncreasing(b.t, times)
}

// aDecisionOpens: rows stand still under the mouse, so that one can be clicked.
func aDecisionOpens(b *tab) {
	b.pointAt("#rows tr:nth-child(3) button")
	b.waitFor(`!document.querySelector("#held").hidden`)
	rows := b.text("#rows")
	id := b.text("#rows tr:nth-child(3) button")
	b.goesOn()
	require.Equal(b.t, rows, b.text("#rows"))
	until(b.t, patience, "the view has it", func() bool {
		answer, err := http.Get(b.home + "/predictions/" + id)
		require.NoError(b.t, err)
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	b.click("#rows tr:nth-child(3) button")
	b.waitFor(`document.querySelectorAll("#detail[open] .inputs div").length === 23`)
	require.Equal(b.t, "Application "+id, b.text("#detail-title"))
	require.Contains(b.t, b.text("#detail .facts"), id)
	b.screenshot("detail")
	b.look(390, "dark")
	require.LessOrEqual(b.t, value[int](b, `document.querySelector("#detail").scrollWidth`), 390)
	b.screenshot("detail-390")
	b.look(1200, "light")
	b.click("#detail button")
	b.waitFor(`!document.querySelector("#detail").open`)
	b.pointAt("#apply-title")
	b.waitFor(fmt.Sprintf(`document.querySelector("#rows").innerText !== %q`, rows))
	b.clean()
}

func theFormDecides(b *tab) {
	b.typeIn("#f-age", "41")
	b.typeIn("#f-pay_amt6", "") // missing
	b.click("#submit")
	b.waitFor(`document.querySelector("#answer .verdict") !== null`)
	require.Regexp(b.t, `(?s)(approve|refer|decline).*% risk of default.*points`, b.text("#answer .verdict"))
	require.NotEmpty(b.t, b.text("#answer .reasons"))
	require.Empty(b.t, b.text("#form-error"))
	b.screenshot("page")
	b.clean()
}

func aFieldIsRefused(b *tab) {
	b.typeIn("#f-age", "12")
	b.typeIn("#f-pay_0", "1.5")
	b.click("#submit")
	b.waitFor(`document.querySelector("#form-error").textContent !== ""`)
	require.Contains(b.t, b.text("#e-age"), "18 … 120")
	require.Contains(b.t, b.text("#e-pay_0"), "whole number")
	require.Equal(b.t, []string{"age", "pay_0"}, value[[]string](b, `[...document.querySelectorAll("#form [aria-invalid]")].map((e) => e.name)`))
	require.Equal(b.t, "age", value[string](b, "document.activeElement.name"), "the first has the focus")
	require.Empty(b.t, b.text("#answer"))
	b.screenshot("refused")
	b.clean("status of 422") // the browser notes every answer that is no success
	b.click("#form [type=reset]")
	require.Empty(b.t, b.text("#e-age"))
}

// theDocumentationOpens: every operation is there, and nothing came from elsewhere.
func theDocumentationOpens(b *tab) {
	answer, err := http.Get(b.home + "/openapi.json")
	require.NoError(b.t, err)
	defer func() { _ = answer.Body.Close() }()
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(b.t, json.NewDecoder(answer.Body).Decode(&document))
	operations := 0
	for _, path := range document.Paths {
		operations += len(path)
	}
	b.open("/docs")
	b.waitFor(fmt.Sprintf(`document.querySelectorAll(".opblock").length === %d`, operations))
	b.click("#operations-predict-predict .opblock-summary-control")
	b.waitFor(`document.querySelector("#operations-predict-predict .responses-table") !== null`)
	require.Contains(b.t, b.text("#operations-predict-predict"), "Idempotency-Key")
	b.screenshot("docs")
	b.clean()
}

// childOf is the process that an app started, 0 while there is none.
func childOf(t *testing.T, a *app) int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state parent …, and a name may hold anything (proc(5)).
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if fields[1] == strconv.Itoa(a.cmd.Process.Pid) && fields[0] != "Z" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			require.NoError(t, err)
			return pid
		}
	}
	return 0
}
