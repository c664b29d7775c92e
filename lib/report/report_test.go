// SPDX-License-Identifier: GPL-2.0-or-later

package report

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func good() Report {
	return Report{
		InfoHash: strings.Repeat("0a", 20), PeerID: strings.Repeat("1b", 20), Key: "secret", State: Receiving,
		Name: "lab-07", Device: "/dev/sda", DeviceSize: 1 << 40, DoneBytes: 5, DownBytes: 6, UpBytes: 7,
	}
}

func TestParse(t *testing.T) {
	b, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(strings.NewReader(string(b)))
	if err != nil || p != good() {
		t.Errorf("%+v, %v", p, err)
	}
	if id, h := p.ID(), p.Hash(); id[0] != 0x1b || h[19] != 0x0a {
		t.Errorf("id %x, infohash %x", id, h)
	}
}

func TestParseRefuses(t *testing.T) {
	edit := func(old, new string) string {
		b, _ := json.Marshal(good())
		return strings.Replace(string(b), old, new, 1)
	}
	for want, text := range map[string]string{
		"infohash is not 40":         edit("0a0a", "0a"),
		"peer_id is not 40":          edit("1b1b", "zzzz"),
		"unknown state":              edit("receiving", "dancing"),
		"negative number of bytes":   edit(`"up_bytes":7`, `"up_bytes":-7`),
		"no key":                     edit("secret", ""),
		"too long":                   edit("secret", strings.Repeat("k", 65)),
		"longer than 4096 bytes":     edit("lab-07", strings.Repeat("x", 5000)),
		"not the JSON object":        "[]",
		"not the JSON object it":     `{"state":7}`,
		"something follows":          edit("", "") + "{}",
		"the JSON object it should ": strings.Repeat(`{"a":`, 700),
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", text, err, want)
		}
	}
}

func TestTextsAreHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"lab-07":                       "lab-07",
		" a\n\tb\x1b[2J\x00 ":          "a  b [2J",
		"abc\u202etxt.exe":             "abctxt.exe",
		"\xff\xfe":                     "?",
		"größe":                        "größe",
		"<script>alert(1)</script>":    "<script>alert(1)</script>", // for html/template to deal with
		strings.Repeat("ä", maxName+1): strings.Repeat("ä", maxName-1) + "…",
	} {
		if got := clean(in, maxName); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, _ := json.Marshal(good())
	f.Add(string(b))
	f.Add(`{"name":"\u001b\ud800","error":"\u202e"}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range []string{p.Name, p.Device, p.Error} {
			if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxError || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("text %q", s)
			}
		}
	})
}

// seed is a server that keeps what it is told and answers by the test's rule.
type seed struct {
	mu   sync.Mutex
	got  []Report
	rule func(n int) (status int, body string)
}

func (s *seed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Parse(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	s.got = append(s.got, p)
	status, body := s.rule(len(s.got))
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

func (s *seed) heard() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func start(t *testing.T, s *seed) string {
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL + Path
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s", what)
		}
	}
}

func TestClientReports(t *testing.T) {
	s := &seed{rule: func(n int) (int, string) { return 200, fmt.Sprintf(`{"interval_seconds":30,"unfinished":%d}`, n) }}
	u := start(t, s)
	p, mu := good(), sync.Mutex{}
	c := NewClient(Config{URLs: func() []string { return []string{u} }, Report: func() Report {
		mu.Lock()
		defer mu.Unlock()
		return p
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	eventually(t, "the first report", func() bool { return s.heard() == 1 })
	mu.Lock()
	p.State = Done
	mu.Unlock()
	c.Now() // long before the interval is over
	eventually(t, "the second", func() bool { return c.Standing().Sent == Done })
	if st := c.Standing(); st.Answer.Unfinished != 2 || st.At.IsZero() {
		t.Errorf("%+v", st)
	}
	cancel()
	<-done
	c.Last(context.Background())
	if s.heard() != 3 {
		t.Errorf("%d reports", s.heard())
	}
}

// A server that takes no reports is left alone; the next one is told.
func TestClientLeavesOthersAlone(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusFound} {
		foreign := &seed{rule: func(int) (int, string) { return status, "no" }}
		ours := &seed{rule: func(int) (int, string) { return 200, `{}` }}
		urls := []string{"file:///etc/passwd", "://", start(t, foreign), start(t, ours)}
		c := NewClient(Config{Report: good, URLs: func() []string { return urls }})
		for range 3 {
			c.Last(context.Background())
		}
		if foreign.heard() != 1 || ours.heard() != 3 {
			t.Errorf("%d: %d reports to the one that takes none, %d to the other", status, foreign.heard(), ours.heard())
		}
	}
}

// Nobody sends a report elsewhere by a redirect.
func TestClientIsNotRedirected(t *testing.T) {
	ours := &seed{rule: func(int) (int, string) { return 200, `{}` }}
	away := httptest.NewServer(http.RedirectHandler(start(t, ours), http.StatusTemporaryRedirect))
	defer away.Close()
	c := NewClient(Config{Report: good, URLs: func() []string { return []string{away.URL + Path} }})
	c.Last(context.Background())
	if ours.heard() != 0 || !c.Standing().At.IsZero() {
		t.Errorf("%d reports went elsewhere", ours.heard())
	}
}

// One that is only busy, or lies, is asked again; nothing of it is believed.
func TestClientBearsWithBusyServers(t *testing.T) {
	busy := &seed{rule: func(int) (int, string) { return 503, "" }}
	u := start(t, busy)
	c := NewClient(Config{Report: good, URLs: func() []string { return []string{u} }})
	c.Last(context.Background())
	c.Last(context.Background())
	if busy.heard() != 2 || !c.Standing().At.IsZero() {
		t.Errorf("asked %d times, %+v", busy.heard(), c.Standing())
	}
	liar := &seed{rule: func(int) (int, string) { return 200, `{"interval_seconds":` + strings.Repeat("9", 5000) + "}" }}
	l := start(t, liar)
	c = NewClient(Config{Report: good, URLs: func() []string { return []string{l} }})
	c.Last(context.Background())
	if !c.Standing().At.IsZero() {
		t.Errorf("%+v", c.Standing())
	}
}
