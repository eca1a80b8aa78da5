//go:build browser

package apptest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	devlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// patience is how long a page may take to show what it is waited for.
const patience = 20 * time.Second

// tab is a page in a headless browser. It remembers every error the page met and
// every request that left for another host than its own.
type tab struct {
	t    *testing.T
	ctx  context.Context
	home string // http://host:port

	mu         sync.Mutex
	complaints []string // guarded by mu
}

// browserProgram is the browser at hand. A machine without one fails the test:
// nothing is skipped.
func browserProgram(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.Fail(t, "no browser: install the package chromium")
	return ""
}

func openTab(t *testing.T, home string) *tab {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserProgram(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
	)
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...) // a failed test is looked at yet
	t.Cleanup(free)
	b := &tab{t: t, home: home}
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(b.hear))
	t.Cleanup(closeTab)
	b.ctx = ctx
	// The tab lives as long as the context it is opened with.
	require.NoError(t, chromedp.Do(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			b.screenshot("failed-" + t.Name())
		}
	})
	return b
}

// hear takes what the browser tells about the page.
func (b *tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complain("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			b.complain("console.%s: %+v", e.Type, e.Args)
		}
	case *devlog.EventEntryAdded:
		if e.Entry.Level == devlog.EntryLevelError || e.Entry.Level == devlog.EntryLevelWarning {
			b.complain("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && "http://"+u.Host != b.home {
			b.complain("request to another host: %s", e.Request.URL)
		}
	}
}

func (b *tab) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, fmt.Sprintf(format, args...))
}

// clean requires that since the last time the page met no errors but those that
// say one of the expected.
func (b *tab) clean(expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		ok := false
		for _, e := range expected {
			ok = ok || strings.Contains(c, e)
		}
		require.True(b.t, ok, c)
	}
	b.complaints = nil
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

// open shows a path of the page's own host.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.home + path))
}

// look makes the window so wide, in a colour scheme.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(b.t, err)
}

// value is that of a JavaScript expression.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// text is what an element shows.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return value[string](b, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// waitFor waits until a JavaScript condition holds on a page that has loaded.
func (b *tab) waitFor(condition string) {
	b.t.Helper()
	until(b.t, patience, condition, func() bool {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && (`+condition+`)`))
		return err == nil && ok // a page that loads lacks elements
	})
}

// click clicks where an element is, as a mouse does: it must be there to be hit.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// pointAt moves the mouse to the middle of an element.
func (b *tab) pointAt(selector string) {
	b.t.Helper()
	middle := value[[]float64](b, fmt.Sprintf("(({x, y, width, height}) => [x + width / 2, y + height / 2])(document.querySelector(%q).getBoundingClientRect())", selector))
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, middle[0], middle[1]))
}

// typeIn replaces what a field holds.
func (b *tab) typeIn(selector, text string) {
	b.t.Helper()
	b.click(selector)
	value[bool](b, fmt.Sprintf("document.querySelector(%q).select() === undefined", selector))
	b.do(chromedp.KeyEvent(kb.Backspace + text))
}

// screenshot keeps a picture of the window for people to look at.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("CREDITSTREAM_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", ".cache", "screenshots")
	}
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}
