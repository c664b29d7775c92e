// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

func TestTorrentNamesTheHostThatWasAsked(t *testing.T) {
	s := NewServer(ServerConfig{InfoHash: testHash, Torrent: func(u string) ([]byte, error) { return []byte(u), nil }})
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
	s := NewServer(ServerConfig{InfoHash: testHash, Torrent: func(u string) ([]byte, error) {
		if built++; strings.Contains(u, "localhost") {
			return nil, errors.New("disk on fire")
		}
		return []byte("d4:infodee"), nil
	}})
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
	none := "http://" + listen(t, NewServer(ServerConfig{InfoHash: testHash}), "127.0.0.1")
	if resp, _ := ask(t, "GET", none+"/a.torrent", nil); resp.StatusCode != 404 {
		t.Errorf("no torrent to serve: %d", resp.StatusCode)
	}
}

// A large torrent over a slow link takes longer than other answers may.
func TestTorrentMayTakeItsTime(t *testing.T) {
	whole := bytes.Repeat([]byte("x"), 32<<20)
	s := NewServer(ServerConfig{InfoHash: testHash, Torrent: func(string) ([]byte, error) { return whole, nil }})
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

func TestPage(t *testing.T) {
	c := newClock()
	s := NewServer(ServerConfig{
		InfoHash: testHash, Name: `<script>alert("sda1 & more")</script>`,
		Size: 3 << 30, Pieces: 192, PieceLength: 16 << 20, Now: c.now,
		Torrent: func(string) ([]byte, error) { return []byte("de"), nil },
	})
	where := listen(t, s, "127.0.0.1")
	for i, q := range []query{
		missing(1, 1<<30),
		missing(2, 0).with(shared.Completed, ""),
		missing(3, 1),
		missing(4, 0),
	} {
		mustAnnounce(t, s.peers, c, from(i), q)
	}
	mustAnnounce(t, s.peers, c, from(2), missing(3, 1).with(shared.Stopped, ""))
	resp, body := ask(t, "GET", "http://"+where+"/", nil)
	plain := html.UnescapeString(body)
	const file = "script-alert--sda1---more----script.torrent"
	for _, want := range []string{
		"3 GiB (3221225472 bytes)", "192 of 16 MiB", "00202b25263b3d23", "1 finished, 1 under way",
		`href="/` + file + `"`,
		"ezio-recv -t http://" + where + "/" + file + " -d /dev/sdX",
		"ezio-verify -t http://" + where + "/" + file + " -d /dev/sdX",
		`<td>10.0.0.0:6881</td><td class="n">66 %</td><td>joined</td>`,
		`<td>10.0.0.1:6881</td><td class="n">100 %</td><td>done</td>`,
		`<td>10.0.0.2:6881</td><td class="n">99 %</td><td>gone</td>`, // one byte is missing
		`<td>10.0.0.3:6881</td><td class="n">100 %</td><td>seeding</td>`,
	} {
		if !strings.Contains(plain, want) && !strings.Contains(strings.ToLower(plain), want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "://") && strings.Contains(body, "src=") {
		t.Error("the page contains a script or something external")
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatalf("no style in %s", body)
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the policy %q does not fit the page's style", policy)
	}
	if resp, body := ask(t, "HEAD", "http://"+where+"/", nil); body != "" || resp.ContentLength <= 0 {
		t.Errorf("HEAD: %q, %d bytes", body, resp.ContentLength)
	}
	t.Run("page's own link works", func(t *testing.T) {
		if resp, _ := ask(t, "GET", "http://"+where+"/"+file, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", file, resp.StatusCode)
		}
	})
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

func TestTexts(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB (1024 bytes)", 3 << 39: "1.5 TiB (1649267441664 bytes)",
		1<<63 - 1: "8192 PiB (9223372036854775807 bytes)",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for _, c := range []struct {
		left, size int64
		want       string
	}{{0, 0, "100 %"}, {5, 0, "?"}, {1, 1 << 62, "99 %"}, {100, 100, "0 %"}, {50, 100, "50 %"}} {
		if got := percentText(c.left, c.size); got != c.want {
			t.Errorf("%d left of %d: %q, want %q", c.left, c.size, got, c.want)
		}
	}
}
