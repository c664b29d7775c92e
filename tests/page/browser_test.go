// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A browser is one Chromium with one tab.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	troubles []string // what the page threw or the policy stopped
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WSURLReadTimeout(60*time.Second))
	ctx, quit := chromedp.NewContext(alloc)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() { quit(); stop() })
	chromedp.ListenTarget(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.trouble("exception: " + ev.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.LevelError {
				b.trouble("log: " + ev.Entry.Text + " " + ev.Entry.URL)
			}
		}
	})
	must(t, chromedp.Run(ctx, log.Enable())) // the browser lives as long as the context of its first task
	return b
}

func (b *browser) trouble(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, s)
}

// quiet fails if the page threw something or asked for what it may not have.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		b.t.Errorf("the browser complains: %s", strings.Join(b.troubles, "\n"))
	}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// text, number and truth are what an expression in the page is.
func (b *browser) text(js string) (s string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(js, &s))
	return s
}

func (b *browser) number(js string) (n float64) {
	b.t.Helper()
	b.do(chromedp.Evaluate(js, &n))
	return n
}

// becomes waits until an expression in the page is true.
func (b *browser) becomes(what, js string) {
	b.t.Helper()
	end := time.Now().Add(60 * time.Second)
	for {
		var ok bool
		b.do(chromedp.Evaluate("!!("+js+")", &ok))
		if ok {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("not within 60 s: %s\n%s", what, b.text("document.body.innerText"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// window sets the size in CSS pixels, the scale, and light or dark.
func (b *browser) window(width, height int64, scale float64, scheme string) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, height, scale, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// shot keeps a picture of the window, if EZIO_SHOTS says where.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("EZIO_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	b.do(chromedp.CaptureScreenshot(&png))
	must(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}
