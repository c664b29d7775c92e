// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestOthersSitesAndNames(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const firefox = "Mozilla/5.0 (X11; Linux x86_64)"
	for _, c := range []struct {
		name, path, host string
		header           map[string]string
		want             int
	}{
		{"a receiver", "/a.torrent", "seed.example.org:6969", map[string]string{"User-Agent": "Go-http-client/1.1"}, 200},
		{"a browser, by address", "/scrape", "10.0.0.1:6969", map[string]string{"User-Agent": firefox}, 200},
		{"a browser, by IPv6 address", "/scrape", "[fe80::1]:6969", map[string]string{"User-Agent": firefox}, 200},
		{"a browser, by a local name", "/scrape", "seed:6969", map[string]string{"User-Agent": firefox}, 200},
		{"a browser, by our name", "/scrape", own + ".example.org:6969", map[string]string{"User-Agent": firefox}, 200},
		{"a browser, by a .local name", "/scrape", "lab7.local:6969", map[string]string{"User-Agent": firefox}, 200},
		{"a name pointed here by somebody", "/scrape", "evil.example.net:6969", map[string]string{"User-Agent": firefox}, 403},
		{"the same with a dot at the end", "/a.torrent", "evil.example.net.", map[string]string{"User-Agent": firefox}, 403},
		{"a script of another site", "/a.torrent", "10.0.0.1", map[string]string{"Origin": "http://evil.example.net"}, 403},
		{"a script of no site", "/a.torrent", "10.0.0.1", map[string]string{"Origin": "null"}, 403},
		{"our own page", "/a.torrent", "10.0.0.1:6969", map[string]string{"Origin": "http://10.0.0.1:6969"}, 200},
		{"a picture on another site", "/announce", "10.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"a link on another site", "/scrape", "10.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200},
	} {
		s := NewServer(ServerConfig{Torrents: []Tracked{{Torrent: func(string) ([]byte, error) { return []byte("de"), nil }}}})
		r := httptest.NewRequest("GET", "http://x"+c.path, nil)
		r.Host = c.host
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.want, w.Body)
		}
	}
}

func TestFloodOfRequests(t *testing.T) {
	now := time.Now()
	s := NewServer(ServerConfig{Now: func() time.Time { return now }})
	ask := func(from string) int {
		r := httptest.NewRequest("GET", "/scrape", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for i := range burst {
		if code := ask("10.0.0.1:1"); code != http.StatusOK {
			t.Fatalf("request %d: %d", i, code)
		}
	}
	if code := ask("10.0.0.1:2"); code != http.StatusTooManyRequests {
		t.Errorf("beyond the burst: %d", code)
	}
	if code := ask("10.0.0.2:1"); code != http.StatusOK {
		t.Errorf("another address: %d", code)
	}
	now = now.Add(time.Second)
	if code := ask("10.0.0.1:3"); code != http.StatusOK {
		t.Errorf("a second later: %d", code)
	}
	for i := range 2 * maxBuckets {
		s.guard.admit(netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}), now)
	}
	if n := len(s.guard.buckets); n > maxBuckets {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestFloodOfConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	var idle []net.Conn
	for range maxPerHost {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	more, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer more.Close()
	_ = more.SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := more.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one connection too many: %v", err)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	// Their places are free again.
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + l.Addr().String() + "/")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
