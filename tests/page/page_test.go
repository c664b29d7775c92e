// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const mib = 1 << 20

// rows is an expression: the receivers in their order.
const rows = `[...document.querySelectorAll("tr[data-state]")].map(r => r.dataset.title).join(" ")`

// in is an expression about the row of a receiver: r.
func in(name, js string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('tr[data-title=%q]')].some(r => %s)`, name, js)
}

func percent(name string) string {
	return fmt.Sprintf(`Number(document.querySelector('tr[data-title=%q] progress').value)`, name)
}

// A classroom from the first machine to the last word, as the operator sees it.
func TestClassroom(t *testing.T) {
	l := newLab(t, 128*mib, "--upload-limit", "3MB", "--exit-after", "4")
	b := newBrowser(t)
	b.window(1280, 800, 1, "light")
	b.do(chromedp.Navigate(l.url + "/"))
	b.becomes("nobody is here yet", `document.querySelector(".empty").innerText.includes("Nobody is here yet")`)
	b.becomes("the page says that it is live", `document.getElementById("link").innerText === "live"`)

	// Machines are switched on while the page is open, and nobody touches it.
	all := map[string]*program{}
	for n := 1; n <= 5; n++ {
		name := l.machine(n)
		args := []string{"--seed-idle", "5s"}
		if n == 5 {
			args = []string{"--download-limit", "300kB"}
		}
		all[name] = l.recv(name, "sda1.img", args...)
	}
	l.machine(6)
	refused := l.recv("lab-06", "/dev/null")
	l.machine(7)
	killed := l.recv("lab-07", "sda1.img")
	b.becomes("a row for each", `document.querySelectorAll("tr[data-state]").length === 7`)
	if code := refused.wait(t, 60*time.Second); code != 4 {
		t.Errorf("exit code %d of one that refuses", code)
	}
	b.becomes("the refused one with its reason", in("lab-06", `r.dataset.state === "refused" && r.innerText.includes("it is a character device")`))
	b.becomes("who it is and where", in("lab-01", `r.innerText.includes("10.0.0.101") && r.innerText.includes("sda1.img, 128.0 MiB")`))

	// Rows move.
	b.becomes("receiving", in("lab-01", `r.dataset.state === "receiving"`))
	was := b.number(percent("lab-01"))
	b.becomes("progress", fmt.Sprintf(`%s > %v && %[1]s < 100`, percent("lab-01"), was+3))
	b.becomes("a rate, and the time left", in("lab-01", `/MiB\/s/.test(r.querySelector(".c-rate").innerText) && /left/.test(r.querySelector(".c-time").innerText)`))
	b.becomes("the graph has its line", `(document.querySelector("path.down")?.getAttribute("d") ?? "").split("L").length > 3`)
	b.becomes("pieces have spread", `document.querySelectorAll(".spread rect").length > 0 && /has reached a receiver/.test(document.body.innerText)`)
	killed.kill()

	keyboard(t, b)
	copying(b)
	accessible(t, b)
	b.becomes("the slow one is told", in("lab-05", `r.dataset.state === "slow" && r.innerText.includes("of the others' rate")`))
	b.becomes("the lost one is told", in("lab-07", `r.dataset.state === "lost" && r.innerText.includes("silent for")`))
	looks(t, b)
	withoutScripts(t, l)

	// Rows finish; the seed ends when four have, and the page says that it has gone.
	for _, name := range []string{"lab-01", "lab-02", "lab-03", "lab-04"} {
		b.becomes(name+" is done", in(name, `r.dataset.state === "done" && r.innerText.includes("took") && r.querySelector("progress").value === 100`))
	}
	b.becomes("it is spoken", `document.getElementById("news").innerText.includes("done")`)
	b.quiet()
	if code := l.seed.wait(t, 60*time.Second); code != 1 {
		t.Errorf("the seed's exit code is %d though receivers failed: %s", code, l.seed.err.String())
	}
	all["lab-05"].kill() // who is done has waited for it
	for _, name := range []string{"lab-01", "lab-02", "lab-03", "lab-04"} {
		if code := all[name].wait(t, 60*time.Second); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
		l.same(name)
	}
	b.becomes("the page says that nobody answers", `document.getElementById("link").innerText.startsWith("no answer from the seed since")`)
}

// keyboard sorts and searches without a mouse, while events go on; the focus must not move.
func keyboard(t *testing.T, b *browser) {
	t.Helper()
	b.do(chromedp.Focus(`th.c-name a`, chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	b.becomes("sorted by name", `document.querySelector("th.c-name").getAttribute("aria-sort") === "ascending" && `+rows+` === "lab-01 lab-02 lab-03 lab-04 lab-05 lab-06 lab-07"`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.becomes("and the other way", `document.querySelector("th.c-name").getAttribute("aria-sort") === "descending" && `+rows+`.startsWith("lab-07 lab-06")`)
	b.becomes("the focus has stayed", `document.activeElement === document.querySelector("th.c-name a")`)

	b.do(chromedp.SendKeys(`input[name=q]`, "LAB-03", chromedp.ByQuery))
	b.becomes("one is found", rows+` === "lab-03"`)
	time := b.text(`document.getElementById("page").dataset.time`)
	b.becomes("two seconds on, the word and the focus are still there",
		fmt.Sprintf(`document.getElementById("page").dataset.time > %q && document.activeElement.name === "q" && document.activeElement.value === "LAB-03"`, time))
	b.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(input.ModifierCtrl)), chromedp.KeyEvent(kb.Delete), chromedp.KeyEvent(kb.Enter))
	b.becomes("all are back", `document.querySelectorAll("tr[data-state]").length === 7`)

	b.do(chromedp.Click(`a.chip.s-refused`, chromedp.ByQuery))
	b.becomes("one state alone", rows+` === "lab-06" && location.search.includes("state=refused")`)
	b.do(chromedp.Click(`a.chip`, chromedp.ByQuery))
	b.becomes("all are back", `document.querySelectorAll("tr[data-state]").length === 7`)
	b.do(chromedp.Click(`th.c-state a`, chromedp.ByQuery))
	b.becomes("trouble first", rows+`.startsWith("lab-06")`)
}

// copying works without https, where there is no clipboard to write to: what was copied is pasted.
func copying(b *browser) {
	b.t.Helper()
	b.do(chromedp.ScrollIntoView(`[data-copy=recv-0]`, chromedp.ByQuery), chromedp.Click(`[data-copy=recv-0]`, chromedp.ByQuery))
	b.becomes("it says so", `document.getElementById("news").innerText === "Copied."`)
	if got := b.text(`document.getElementById("recv-0").innerText`); got != "ezio-recv -t http://10.0.0.1:6969/debian-13-classroom.torrent -d /dev/sdX" {
		b.t.Errorf("the command is %q", got)
	}
	b.do(chromedp.Evaluate(`scrollTo(0, 0)`, nil))
}

// accessible asks what a screen reader would.
func accessible(t *testing.T, b *browser) {
	t.Helper()
	// Decoded by hand: the library knows but the names of its own time.
	type value struct {
		Value string `json:"value"`
	}
	var tree struct {
		Nodes []struct {
			Role value `json:"role"`
			Name value `json:"name"`
		} `json:"nodes"`
	}
	b.do(chromedp.ActionFunc(func(ctx context.Context) error {
		return chromedp.FromContext(ctx).Target.Execute(ctx, "Accessibility.getFullAXTree", nil, &tree)
	}))
	var have []string
	for _, n := range tree.Nodes {
		have = append(have, n.Role.Value+" "+n.Name.Value)
	}
	for _, want := range []string{
		"main ", "heading debian-13-classroom", "heading Receivers", "table Receivers", "columnheader Progress", "rowheader lab-01 10.0.0.101",
		"progressbar All receivers together:", "progressbar lab-01:", "searchbox Find receivers", "navigation Receivers by state",
		"throughput over", "% of the image has reached a receiver", "link Skip to the receivers",
	} {
		if !slices.ContainsFunc(have, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("a screen reader finds no %q in %q", want, have)
		}
	}
}

// looks has the page on a laptop, a projector and a phone, light and dark: nothing sticks out.
func looks(t *testing.T, b *browser) {
	t.Helper()
	for _, w := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"phone", 390, 844, "light"}, {"projector", 1920, 1080, "light"}, {"dark", 1280, 800, "dark"}, {"light", 1280, 800, "light"}} {
		b.window(w.width, w.height, 2, w.scheme)
		b.becomes(w.name+": nothing sticks out", fmt.Sprintf(`innerWidth === %d && document.documentElement.scrollWidth <= innerWidth`, w.width))
		back := b.text(`getComputedStyle(document.body).backgroundColor`)
		if dark := back == "rgb(13, 18, 24)"; dark != (w.scheme == "dark") {
			t.Errorf("%s: the background is %s", w.name, back)
		}
		if n := b.number(faint); n < 4.5 {
			t.Errorf("%s: the faintest text has a contrast of %.2f", w.name, n)
		}
		b.shot(w.name)
	}
}

// faint is an expression: the least contrast (WCAG 2.2) of any text with the card behind it.
const faint = `(() => {
  const lum = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$|transparent/.test(c)) return c; } return "rgb(255,255,255)"; };
  let least = 21;
  for (const e of document.querySelectorAll("main *, header *, footer *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.nodeValue.trim()) || e.closest("svg, progress, .hush, [hidden]")) continue;
    const [a, b] = [lum(getComputedStyle(e).color), lum(back(e))].sort((x, y) => y - x);
    least = Math.min(least, (a + .05) / (b + .05));
  }
  return least;
})()`

// withoutScripts has the table, sorted by a link and searched by a form.
func withoutScripts(t *testing.T, l *lab) {
	t.Helper()
	b := newBrowser(t)
	b.do(emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(l.url+"/"))
	var text string
	b.do(chromedp.Text(`table.receivers`, &text, chromedp.ByQuery))
	for _, want := range []string{"lab-01", "lab-06", "refused", "it is a character device", "%"} {
		if !strings.Contains(text, want) {
			t.Errorf("without scripts the table lacks %q: %s", want, text)
		}
	}
	var where string
	b.do(chromedp.Click(`th.c-name a`, chromedp.ByQuery), chromedp.WaitVisible(`th.c-name[aria-sort=ascending]`, chromedp.ByQuery),
		chromedp.SendKeys(`input[name=q]`, "lab-06"+kb.Enter, chromedp.ByQuery), chromedp.WaitNotPresent(`tr[data-title=lab-01]`, chromedp.ByQuery),
		chromedp.WaitVisible(`tr[data-title=lab-06]`, chromedp.ByQuery), chromedp.Location(&where))
	if !strings.Contains(where, "q=lab-06") || !strings.Contains(where, "sort=name") {
		t.Errorf("the search went to %s", where)
	}
	b.quiet()
}
