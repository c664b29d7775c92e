// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTorrentNamesTheHostThatWasAsked(t *testing.T) {
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Torrent: func(u string) ([]byte, error) { return []byte(u), nil }}}})
	for _, ip := range []string{"127.0.0.1", "::1"} {
		here := listen(t, s, ip)
		for host, want := range map[string]string{
			here:                     here,
			"seed":                   "seed",
			"seed.example.org:80":    "seed.example.org:80",
			"[fd00::1]:6969":         "[fd00::1]:6969",
			"[fd00::1]":              "[fd00::1]",
			"10.0.0.1:6969":          "10.0.0.1:6969",
			"a;reboot":               here,
			"seed/../x":              here,
			"user@seed":              here,
			"seed:0":                 here,
			"seed:99999":             here,
			"seed:http":              here,
			"[10.0.0.1]":             here,
			"[fe80::1%25eth0]:69":    here,
			"-seed":                  here,
			strings.Repeat("a", 300): here,
		} {
			// Written by hand: net/http's client would not send all of these.
			got := raw(t, here, "GET /a.torrent HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if got.status == 400 { // net/http's server refuses some of its own accord
				continue
			}
			if got.body != "http://"+want+"/announce" {
				t.Errorf("Host %q: %q", host, got.body)
			}
		}
		if got := raw(t, here, "GET /a.torrent HTTP/1.0\r\n\r\n"); got.body != "http://"+here+"/announce" {
			t.Errorf("without Host: %q", got.body)
		}
	}
}

func TestTorrentHeaders(t *testing.T) {
	built := 0
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Torrent: func(u string) ([]byte, error) {
		if built++; strings.Contains(u, "localhost") {
			return nil, errors.New("disk on fire")
		}
		return []byte("d4:infodee"), nil
	}}}})
	base := "http://" + listen(t, s, "127.0.0.1")
	for method, want := range map[string]string{"GET": "d4:infodee", "HEAD": ""} {
		resp, body := ask(t, method, base+"/any%20name.torrent", nil)
		h := resp.Header
		if body != want || resp.StatusCode != 200 || resp.ContentLength != 10 || h.Get("Content-Type") != "application/x-bittorrent" {
			t.Errorf("%s: %d %q, %d bytes, %v", method, resp.StatusCode, body, resp.ContentLength, h)
		}
	}
	if built != 1 {
		t.Errorf("built %d times for one host", built)
	}
	asLocalhost := func(r *http.Request) { r.Host = "localhost" }
	if resp, body := ask(t, "GET", base+"/a.torrent", asLocalhost); resp.StatusCode != 500 || strings.Contains(body, "fire") {
		t.Errorf("a torrent that cannot be built: %d %q", resp.StatusCode, body)
	}
	none := "http://" + listen(t, NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash}}}), "127.0.0.1")
	if resp, _ := ask(t, "GET", none+"/a.torrent", nil); resp.StatusCode != 404 {
		t.Errorf("no torrent to serve: %d", resp.StatusCode)
	}
}

// A large torrent over a slow link takes longer than other answers may.
func TestTorrentMayTakeItsTime(t *testing.T) {
	whole := bytes.Repeat([]byte("x"), 32<<20)
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Torrent: func(string) ([]byte, error) { return whole, nil }}}})
	s.writeTimeout = time.Millisecond
	where := listen(t, s, "127.0.0.1")
	resp, err := http.Get("http://" + where + "/a.torrent")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, whole) {
		t.Errorf("%d bytes of %d: %v", len(got), len(whole), err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestFileName(t *testing.T) {
	for name, want := range map[string]string{
		"root":                   "root.torrent",
		"":                       "a.torrent",
		"../../etc/passwd":       "etc-passwd.torrent",
		"-rf":                    "rf.torrent",
		"größe $(reboot)":        "gr--e---reboot.torrent",
		"???":                    "a.torrent",
		strings.Repeat("x", 99):  strings.Repeat("x", 64) + ".torrent",
		"Debian_12.5-amd64 sda1": "Debian_12.5-amd64-sda1.torrent",
	} {
		if got := fileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Several images: each under its name alone, though two of them are called the same.
func TestTorrentsByName(t *testing.T) {
	names := func(name string) func(string) ([]byte, error) {
		return func(string) ([]byte, error) { return []byte(name), nil }
	}
	s := NewServer(ServerConfig{Torrents: []Tracked{
		{InfoHash: [20]byte{1}, Name: "root", Torrent: names("one")},
		{InfoHash: [20]byte{2}, Name: "root", Torrent: names("two")},
		{InfoHash: [20]byte{3}, Name: "sda1", Torrent: names("three")},
	}})
	base := "http://" + listen(t, s, "127.0.0.1")
	for i, want := range []string{"one", "two", "three"} {
		if _, body := ask(t, "GET", base+s.File(i), nil); body != want {
			t.Errorf("%s: %q", s.File(i), body)
		}
	}
	if s.File(1) != "/root-2.torrent" {
		t.Errorf("the second root is called %s", s.File(1))
	}
	if resp, _ := ask(t, "GET", base+"/a.torrent", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a name that is nobody's: %d", resp.StatusCode)
	}
}

// What each torrent's peers do is nothing to the others.
func TestTorrentsApart(t *testing.T) {
	other := [20]byte([]byte("abcdefghijklmnopqrst"))
	s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, SeedPort: 1}, {InfoHash: other, SeedPort: 2}}})
	base := "http://" + listen(t, s, "127.0.0.1") + "/announce?"
	ask(t, "GET", base+params(1, 9, "port", "7001"), nil)
	_, body := ask(t, "GET", base+params(2, 9, "port", "7002", "info_hash", string(other[:])), nil)
	if got := compactAddrs(t, decode(t, body)["peers"], 4); !slices.Equal(got, []string{"127.0.0.1:2"}) {
		t.Errorf("a peer of the second is given %v", got)
	}
	if a, b := len(s.Receivers(0)), len(s.Receivers(1)); a != 1 || b != 1 {
		t.Errorf("%d and %d receivers", a, b)
	}
	_, body = ask(t, "GET", strings.Replace(base, "announce", "scrape", 1), nil)
	if files := decode(t, body)["files"].(map[string]any); len(files) != 2 {
		t.Errorf("scrape lists %d torrents", len(files))
	}
}
