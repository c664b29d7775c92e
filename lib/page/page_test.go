// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"ezio/lib/report"
	"ezio/lib/roster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func eta(s int64) *int64 { return &s }

// evil is a text that would be something else in HTML, in a script, in an attribute or in an event.
const evil = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\n\nevent: x"

func deployment0() roster.Status {
	return roster.Status{
		Name: "sda1", InfoHash: strings.Repeat("0a", 20), File: "/sda1.torrent", Size: 3 << 30, Pieces: 192, PieceLength: 16 << 20,
		DeviceSize: 4 << 30, Filesystem: "EXTFS", Source: "/dev/sda1",
		Counts:    roster.Counts{All: 4, Done: 1, Underway: 2, Unfinished: 1, By: map[roster.State]int{roster.Done: 1, roster.Receiving: 1, roster.Slow: 1, roster.Refused: 1}},
		DoneBytes: 3 << 30, Total: 9 << 30, Rate: 30 << 20, ETA: eta(100), SeedRate: 12 << 20, SeedSent: 3 << 29, Seconds: 60,
		Availability: []int{0, 1, 2, 3, 3}, Peers: 3,
		History: []roster.Moment{{At: 0}, {At: 30, Down: 60 << 20, Up: 20 << 20}, {At: 60, Down: 30 << 20, Up: 12 << 20}},
		Receivers: []roster.Receiver{
			{ID: "01", Name: "lab-10", Addr: "10.0.0.10", Port: 6881, State: roster.Receiving, DoneBytes: 1 << 30, TotalBytes: 3 << 30, Rate: 20 << 20, ETA: eta(100), Device: "/dev/sda", DeviceSize: 4 << 30, Attempts: 1},
			{ID: "02", Name: "lab-9", Addr: "10.0.0.9", State: roster.Done, DoneBytes: 3 << 30, TotalBytes: 3 << 30, Seconds: 75, Attempts: 2},
			{ID: "03", Name: evil, Addr: "10.0.0.1", Device: evil, State: roster.Refused, Reason: evil, TotalBytes: 3 << 30, Attempts: 1},
			{ID: "04", Addr: "10.0.0.2", Port: 7000, State: roster.Slow, Reason: "nothing received for 12s", DoneBytes: 3<<30 - 1, TotalBytes: 3 << 30, Attempts: 1},
		},
	}
}

func newPage(list ...roster.Status) *Page {
	return New(Config{Version: "v1", Status: func() []roster.Status { return list }})
}

func get(p *Page, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "seed:6969"
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestDocument(t *testing.T) {
	w := get(newPage(deployment0()), "/")
	body := w.Body.String()
	plain := html.UnescapeString(body)
	for _, want := range []string{
		"<title>33 % sda1 · EZIO</title>", "1 of 4 receivers done, 2 under way, 1 did not finish.", "1 min 40 s", "30.0 MiB/s", "0.50 images",
		"ezio-recv -t http://seed:6969/sda1.torrent -d /dev/sdX", "ezio-verify -t http://seed:6969/sda1.torrent -d /dev/sdX",
		`href="/sda1.torrent"`, "3.0 GiB", "192 of 16.0 MiB", "EXTFS", "/dev/sda1", strings.Repeat("0a", 20),
		"took 1 min 15 s", "attempt 2", "nothing received for 12s", "10.0.0.2:7000", "/dev/sda, 4.0 GiB",
		"80 % of the image has reached a receiver, 40 % has reached all 3 that are connected; some pieces have not left the seed yet",
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", w.Header())
	}
	if strings.Contains(plain, "100 %</span>") && !strings.Contains(plain, "99 %</span>") {
		t.Error("what lacks a byte is shown as complete")
	}
}

// Nothing that a receiver says becomes markup, and the policy fits what is on the page.
func TestHostileTexts(t *testing.T) {
	d := deployment0()
	d.Name, d.Source, d.Filesystem = evil, evil, evil
	w := get(newPage(d), "/?q="+strings.ReplaceAll("\"><script>", "\"", "%22")+"&sort=<b>&state=<i>")
	body := w.Body.String()
	if n := strings.Count(body, "<script"); n != 1 || strings.Contains(body, "<img") || strings.Contains(body, "onerror=alert(1)>") {
		t.Errorf("%d scripts; %s", n, body)
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, of := range []string{"style", "script"} {
		text := regexp.MustCompile(`(?s)<` + of + `>(.*?)</` + of + `>`).FindStringSubmatch(body)
		if text == nil || !strings.Contains(policy, of+"-src 'sha256-"+sum(text[1])+"'") {
			t.Errorf("the policy %q does not fit the page's %s", policy, of)
		}
	}
	if !strings.Contains(policy, "default-src 'none'") || regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(body) {
		t.Error("something from elsewhere")
	}
}

// rows is the titles in the order in which the page has them.
func rows(body string) string {
	var list []string
	for _, m := range regexp.MustCompile(`data-title="([^"]*)" data-state`).FindAllStringSubmatch(body, -1) {
		list = append(list, strings.Fields(html.UnescapeString(m[1]))[0])
	}
	return strings.Join(list, " ")
}

func TestSortAndFilter(t *testing.T) {
	d := deployment0()
	d.Receivers[2].Name, d.Receivers[2].Device, d.Receivers[2].Reason = "lab-1", "/dev/nvme0n1", "it is mounted on /mnt"
	p := newPage(d)
	for query, want := range map[string]string{
		"":                         "lab-1 10.0.0.2:7000 lab-10 lab-9", // trouble first
		"?sort=name":               "10.0.0.2:7000 lab-1 lab-9 lab-10",
		"?sort=name&down=1":        "lab-10 lab-9 lab-1 10.0.0.2:7000",
		"?sort=done&down=1":        "lab-9 10.0.0.2:7000 lab-10 lab-1",
		"?sort=rate&down=1":        "lab-10 10.0.0.2:7000 lab-1 lab-9",
		"?state=done":              "lab-9",
		"?q=MOUNTED":               "lab-1",
		"?q=lab&sort=name":         "lab-1 lab-9 lab-10",
		"?q=nobody":                "",
		"?sort=nonsense&state=odd": "lab-1 10.0.0.2:7000 lab-10 lab-9",
	} {
		if got := rows(get(p, "/"+query).Body.String()); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	body := get(p, "/?sort=rate&down=1&state=slow").Body.String()
	if !strings.Contains(body, `class="c-rate" aria-sort="descending"><a href="?sort=rate&amp;state=slow"`) || !strings.Contains(body, `aria-current="true"`) {
		t.Error("the links do not say what is shown, or lose it")
	}
}

func TestEmptyAndSeveral(t *testing.T) {
	empty := roster.Status{Name: "sda2", File: "/sda2.torrent", Size: 1}
	body := get(newPage(deployment0(), empty), "/").Body.String()
	for _, want := range []string{"0 % sda2", "Waiting for the first receiver.", "Nobody is here yet.", "nothing sent yet", `id="torrent-1"`, "/sda2.torrent -d"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if ids[m[1]] {
			t.Errorf("two elements are called %s", m[1])
		}
		ids[m[1]] = true
	}
}

func TestStatus(t *testing.T) {
	w := get(newPage(deployment0()), "/status.json")
	var s State
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatal(err)
	}
	if s.Version != "v1" || len(s.Torrents) != 1 || s.Torrents[0].Receivers[2].Reason != evil || *s.Torrents[0].ETA != 100 {
		t.Errorf("%+v", s)
	}
}

func TestMetrics(t *testing.T) {
	d := deployment0()
	d.Receivers[1].Name, d.Receivers[1].Addr = d.Receivers[0].Name, d.Receivers[0].Addr // two of the same name
	w := get(newPage(d), "/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"ezio_receivers_finished": 1, "ezio_image_bytes": 3 << 30, "ezio_seed_sent_bytes_total": 3 << 29, "ezio_receive_bytes_per_second": 30 << 20,
	} {
		m := all[name]
		if m == nil {
			t.Errorf("no %s", name)
			continue
		}
		if got := m.Metric[0].GetGauge().GetValue() + m.Metric[0].GetCounter().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := len(all["ezio_receiver_state"].Metric); n != 4 {
		t.Errorf("%d receivers", n)
	}
	if n := len(all["ezio_receivers"].Metric); n != len(roster.States) {
		t.Errorf("%d states", n)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	p := newPage(deployment0())
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"POST", "/", 405}, {"OPTIONS", "/", 405}, {"HEAD", "/status.json", 200}, {"HEAD", "/metrics", 200}, {"HEAD", "/events", 200},
		{"DELETE", "/events", 405}, {"GET", "/report", 405}, {"PUT", "/report", 405}, {"GET", "/favicon.ico", 404}, {"POST", "/nowhere", 404}, {"GET", "//", 404},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != c.status || w.Code == 405 && w.Header().Get("Allow") == "" || c.method == "HEAD" && w.Body.Len() > 0 && c.path != "/metrics" {
			t.Errorf("%s %s: %d, want %d, %v", c.method, c.path, w.Code, c.status, w.Header())
		}
	}
}

func TestReport(t *testing.T) {
	var got report.Report
	var from netip.Addr
	var fail error
	p := New(Config{Status: func() []roster.Status { return nil }, Report: func(a netip.Addr, r report.Report) (report.Answer, error) {
		got, from = r, a
		return report.Answer{Interval: 2, Unfinished: 3}, fail
	}})
	good := fmt.Sprintf(`{"infohash":"%040d","peer_id":"%040d","key":"k","state":"refused","error":"mounted\u001b"}`, 1, 2)
	for _, c := range []struct {
		kind, body string
		fail       error
		status     int
	}{
		{"application/json", good, nil, 200},
		{"application/json; charset=utf-8", good, nil, 200},
		{"text/plain", good, nil, 415},
		{"application/x-www-form-urlencoded", good, nil, 415},
		{"", good, nil, 415},
		{"application/json", "{}", nil, 400},
		{"application/json", good, ErrUnknown, 404},
		{"application/json", good, errors.New("not yours"), 409},
	} {
		fail = c.fail
		r := httptest.NewRequest("POST", "http://x/report", strings.NewReader(c.body))
		r.RemoteAddr = "[::ffff:10.0.0.5]:99"
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.kind, c.body, w.Code, c.status, w.Body)
		}
		if w.Code == 200 && strings.TrimSpace(w.Body.String()) != `{"interval_seconds":2,"unfinished":3}` {
			t.Errorf("answer %q", w.Body)
		}
	}
	if got.Error != "mounted" || from != netip.MustParseAddr("10.0.0.5") {
		t.Errorf("%+v from %v", got, from)
	}
}

// stream reads events until one is whole.
func stream(t *testing.T, r *bufio.Reader) (name, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\n" {
			return name, text
		}
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(n)
		}
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			text += d
		}
	}
}

func TestEvents(t *testing.T) {
	d := deployment0()
	srv := httptest.NewUnstartedServer(newPage(d))
	ctx, cancel := context.WithCancel(context.Background())
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 1500*time.Millisecond, 1500*time.Millisecond // shorter than the stream
	srv.Start()
	defer srv.Close()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/events?sort=name", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for range 3 {
		name, text := stream(t, in)
		if name != "page" || !strings.HasPrefix(text, "<main ") || !strings.HasSuffix(strings.TrimSpace(text), "</main>") {
			t.Fatalf("event %s: %.200s", name, text)
		}
		if got, want := rows(text), rows(get(newPage(d), "/?sort=name").Body.String()); got != want || want == "" {
			t.Errorf("%q in the event, %q on the page", got, want)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	p := newPage(deployment0())
	srv := httptest.NewServer(p)
	ctx, cancel := context.WithCancel(context.Background())
	var bodies []io.Closer
	open := func() int {
		req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
		return resp.StatusCode
	}
	var codes []int
	for range maxStreamsFrom + 1 {
		codes = append(codes, open())
	}
	if codes[maxStreamsFrom-1] != 200 || codes[maxStreamsFrom] != 503 {
		t.Errorf("%v", codes)
	}
	cancel()
	for _, b := range bodies {
		b.Close()
	}
	srv.Close() // waits for the handlers
	if p.streams.total != 0 || len(p.streams.from) != 0 {
		t.Errorf("%d streams are still counted", p.streams.total)
	}
}

func TestGraph(t *testing.T) {
	g := drawGraph([]roster.Moment{{At: 0}, {At: 5, Down: 100, Up: 50}, {At: 10, Down: 50}})
	if g.Down != `d="M0.0 119.0L300.0 3.0L600.0 61.0"` {
		t.Errorf("%s", g.Down)
	}
	if g := drawGraph(nil); g.Most != "" || g.Down != "" {
		t.Errorf("%+v", g)
	}
}

func BenchmarkRender1000(b *testing.B) {
	d := deployment0()
	for i := range 1000 {
		r := d.Receivers[i%4]
		r.ID = fmt.Sprintf("%040d", i)
		d.Receivers = append(d.Receivers, r)
	}
	p := newPage(d)
	for b.Loop() {
		get(p, "/")
	}
}
