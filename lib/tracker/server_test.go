// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func compactAddrs(t *testing.T, s any, width int) (list []string) {
	t.Helper()
	text, _ := s.(string)
	peers, err := parseCompact([]byte(text), width)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		list = append(list, p.String())
	}
	return list
}

// The seed is handed out at whichever of its addresses the client came to.
func TestSeedIsWhereTheClientReachedUs(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, SeedPort: 6881}}})
	port := addr(listen(t, s, "0.0.0.0")).Port()
	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		_, body := ask(t, "GET", fmt.Sprintf("http://%s:%d/announce?%s", ip, port, params(1, 9)), nil)
		if got := fmt.Sprint(compactAddrs(t, decode(t, body)["peers"], 4)); got != "["+ip+":6881]" {
			t.Errorf("asked at %s: given %s", ip, got)
		}
	}
	_, body := ask(t, "GET", "http://"+listen(t, s, "::1")+"/announce?"+params(2, 9, "numwant", "1"), nil)
	d := decode(t, body)
	if got := fmt.Sprint(compactAddrs(t, d["peers6"], 16)); got != "[[::1]:6881]" || d["peers"] != "" {
		t.Errorf("asked at ::1: given %s and %q", got, d["peers"])
	}
}

func TestAnnounceForms(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, SeedPort: 6881, Size: 1000}}})
	base := "http://" + listen(t, s, "127.0.0.1") + "/announce?"
	ask(t, "GET", base+params(1, 9, "port", "7001", "ip", "192.0.2.1"), func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "192.0.2.2")
	})
	_, body := ask(t, "GET", base+params(2, 9, "compact", "0"), nil)
	id := testID(1)
	want := fmt.Sprintf("d8:completei1e10:incompletei2e8:intervali2e12:min intervali1e5:peersl"+
		"d2:ip9:127.0.0.14:porti6881eed2:ip9:127.0.0.17:peer id20:%s4:porti7001eeee", id[:])
	if body != want {
		t.Errorf("long form:\n%q, want\n%q", body, want)
	}
	_, body = ask(t, "GET", base+params(2, 9, "compact", "0", "no_peer_id", "1"), nil)
	if strings.Contains(body, "peer id") {
		t.Errorf("peer ids though none wanted: %q", body)
	}
	resp, body := ask(t, "GET", base+params(2, 9, "compact", "1"), nil)
	want = "d8:completei1e10:incompletei2e8:intervali2e12:min intervali1e5:peers12:" +
		"\x7f\x00\x00\x01\x1a\xe1\x7f\x00\x00\x01\x1b\x59e"
	if body != want || resp.Header.Get("Content-Length") != strconv.Itoa(len(want)) {
		t.Errorf("compact form:\n%q, want\n%q", body, want)
	}
}

func TestAnnounceRefusals(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash}}})
	base := "http://" + listen(t, s, "127.0.0.1") + "/announce?"
	tests := []struct{ name, query, reason string }{
		{"nothing", "", "missing info_hash"},
		{"no infohash", params(1, 9, "info_hash", "-"), "missing info_hash"},
		{"short infohash", params(1, 9, "info_hash", "short"), "info_hash is 5 bytes, not 20"},
		{"infohash in hex", params(1, 9, "info_hash", strings.Repeat("ab", 20)), "info_hash is 40 bytes, not 20"},
		{"unknown infohash", params(1, 9, "info_hash", strings.Repeat("x", 20)), fmt.Sprintf("unknown info_hash: this tracker serves %x only", testHash)},
		{"two infohashes", params(1, 9) + "&info_hash=x", "info_hash is given more than once"},
		{"no peer id", params(1, 9, "peer_id", "-"), "missing peer_id"},
		{"long peer id", params(1, 9, "peer_id", strings.Repeat("x", 21)), "peer_id is 21 bytes, not 20"},
		{"no port", params(1, 9, "port", "-"), "missing port"},
		{"port 0", params(1, 9, "port", "0"), "bad port"},
		{"port too large", params(1, 9, "port", "65536"), "bad port"},
		{"port beyond all bounds", params(1, 9, "port", "99999999999999999999"), "bad port"},
		{"port that is none", params(1, 9, "port", "ssh"), "bad port"},
		{"port with a sign", params(1, 9, "port", "+80"), "bad port"},
		{"no left", params(1, 9, "left", "-"), "missing left"},
		{"negative left", params(1, -1), "bad left"},
		{"negative uploaded", params(1, 9, "uploaded", "-1"), "bad uploaded"},
		{"downloaded with a sign", params(1, 9, "downloaded", "+1"), "bad downloaded"},
		{"unknown event", params(1, 9, "event", "exploded"), "unknown event"},
		{"bad numwant", params(1, 9, "numwant", "many"), "bad numwant"},
		{"long key", params(1, 9, "key", strings.Repeat("k", 65)), "key is longer than 64 bytes"},
		{"bad escape", params(1, 9) + "&x=%zz", "malformed query"},
		{"long query", params(1, 9) + "&x=" + strings.Repeat("y", 2000), "query is longer than 2048 bytes"},
	}
	for _, test := range tests {
		resp, body := ask(t, "GET", base+test.query, nil)
		if want := fmt.Sprintf("d14:failure reason%d:%se", len(test.reason), test.reason); body != want || resp.StatusCode != 200 {
			t.Errorf("%s: %d %q, want %q", test.name, resp.StatusCode, body, want)
		}
	}
	if list := s.Receivers(0); len(list) != 0 {
		t.Errorf("the refused were remembered: %v", list)
	}
}

func TestParseAnnounce(t *testing.T) {
	tests := []struct {
		query string
		want  query
	}{
		{"", query{left: 9, numwant: 50, compact: true}},
		{"compact=0&no_peer_id=1&key=k", query{left: 9, numwant: 50, noID: true, key: "k"}},
		{"numwant=0", query{left: 9, compact: true}},
		{"numwant=-1", query{left: 9, numwant: 50, compact: true}},
		{"numwant=100000", query{left: 9, numwant: 200, compact: true}},
		{"event=completed", query{event: 1, numwant: 50, compact: true}}, // left was read too early
		{"event=started&ip=1.2.3.4&ipv6=::2&supportcrypto=1", query{left: 9, event: 2, numwant: 50, compact: true}},
		{"event=stopped", query{left: 9, event: 3, numwant: 50, compact: true}},
		{"event=paused&corrupt=0", query{left: 9, numwant: 50, compact: true}},
	}
	for _, test := range tests {
		want := test.want
		want.infoHash, want.id, want.port = testHash, testID(1), 7000
		got, err := parseAnnounce(params(1, 9) + "&" + test.query)
		if err != nil || got != want {
			t.Errorf("%s:\n%+v, %v; want\n%+v", test.query, got, err, want)
		}
	}
}

func TestScrape(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, SeedPort: 6881}}})
	base := "http://" + listen(t, s, "127.0.0.1")
	for id, left := range []int64{9, 9, 0} {
		ask(t, "GET", base+"/announce?"+params(id, left), nil)
	}
	ask(t, "GET", base+"/announce?"+params(1, 0, "event", "completed"), nil)
	known := "info_hash=" + strings.ReplaceAll(escape(testHash[:]), "+", "%20")
	entry := "20:" + string(testHash[:]) + "d8:completei3e10:downloadedi1e10:incompletei1ee"
	for query, want := range map[string]string{
		"":    "d5:filesd" + entry + "ee",
		known: "d5:filesd" + entry + "ee",
		"info_hash=" + escape([]byte(strings.Repeat("x", 20))): "d5:filesdee",
		"info_hash=x": "d14:failure reason28:info_hash is 1 bytes, not 20e",
	} {
		if _, body := ask(t, "GET", base+"/scrape?"+query, nil); body != want {
			t.Errorf("scrape %s: %q, want %q", query, body, want)
		}
	}
}

func escape(b []byte) (s string) {
	for _, c := range b {
		s += fmt.Sprintf("%%%02x", c)
	}
	return s
}

func TestMethodsAndPaths(t *testing.T) {
	s := NewServer(ServerConfig{
		Torrents: []Tracked{{InfoHash: testHash, Torrent: func(string) ([]byte, error) { return []byte("de"), nil }}},
		Pages:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	})
	base := "http://" + listen(t, s, "127.0.0.1")
	tests := []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 418}, {"HEAD", "/", 418}, {"POST", "/", 418}, {"POST", "/nowhere", 418}, {"GET", "/announce/", 418},
		{"GET", "/x.torrent", 200}, {"HEAD", "/x.torrent", 200}, {"DELETE", "/x.torrent", 405},
		{"GET", "/a/x.torrent", 418}, {"GET", "//x.torrent", 418}, {"GET", "/x.torrent/", 418}, {"GET", "/../x.torrent", 418},
		{"GET", "/announce", 200}, {"HEAD", "/announce", 405}, {"POST", "/announce", 405},
		{"GET", "/scrape", 200}, {"HEAD", "/scrape", 405},
	}
	for _, test := range tests {
		resp, _ := ask(t, test.method, base+test.path, nil)
		if resp.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, resp.StatusCode, test.status)
		}
		if resp.StatusCode == 405 && resp.Header.Get("Allow") == "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", test.method, test.path, resp.Header)
		}
	}
}

// Serve's end: requests under way are answered, idle and stuck connections are closed.
func TestServeEnds(t *testing.T) {
	under, finish := make(chan struct{}), make(chan struct{})
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Torrent: func(string) ([]byte, error) {
		close(under)
		<-finish
		return []byte("whole"), nil
	}}}})
	s.headerTimeout, s.readTimeout = time.Hour, time.Hour
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	stuck, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := io.WriteString(stuck, "GET / HT"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string)
	go func() {
		_, body := ask(t, "GET", "http://"+l.Addr().String()+"/a.torrent", nil)
		answer <- body
	}()
	<-under
	cancel()
	close(finish)
	if body := <-answer; body != "whole" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	_ = stuck.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := stuck.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stuck connection: %v", err)
	}
	if err := s.Serve(context.Background(), l); err == nil {
		t.Error("Serve on a closed listener gave no error")
	}
}

// A client that trickles loses its connection, and one that says too much is not listened to.
func TestServeCutsOffTricklers(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash}}})
	for _, limit := range []time.Duration{s.headerTimeout, s.readTimeout, s.writeTimeout, s.idleTimeout} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("a limit of %v", limit)
		}
	}
	patient := listen(t, NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash}}}), "127.0.0.1")
	s.headerTimeout, s.idleTimeout = 50*time.Millisecond, 50*time.Millisecond
	hasty := listen(t, s, "127.0.0.1")
	for name, sent := range map[string]string{
		"half a header": "GET / HTTP/1.1\r\nHost: x\r\nX-",
		"nothing":       "",
		"idle":          "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"endless":       "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("y", 20<<10) + "\r\n\r\n",
	} {
		where := hasty
		if name == "endless" { // it is its length that ends it
			where = patient
		}
		c, err := net.Dial("tcp", where)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(60 * time.Second))
		_, _ = io.WriteString(c, sent)
		got, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: still open after a minute", name)
		}
		if name == "endless" && !strings.Contains(string(got), "431 ") {
			t.Errorf("%s: %.40q", name, got)
		}
		c.Close()
	}
}

func TestViewNeedsAnAddress(t *testing.T) {
	r := &http.Request{RemoteAddr: "[::ffff:10.0.0.5%eth0]:9"}
	if v, ok := viewOf(r); !ok || v.from != netip.MustParseAddr("10.0.0.5") || v.local.IsValid() {
		t.Errorf("view %+v, %v", v, ok)
	}
	if _, ok := viewOf(&http.Request{RemoteAddr: "@"}); ok {
		t.Error("a unix socket passes for an address")
	}
}
