// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
)

func FuzzParseAnnounce(f *testing.F) {
	f.Add(params(1, 9))
	f.Add(params(1, 9, "event", "started", "numwant", "-1", "key", "1234", "compact", "0"))
	f.Add("info_hash=%00&info_hash=%zz&port=0;left=-1")
	f.Add(strings.Repeat("&a", 2000))
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseAnnounce(raw)
		if err != nil {
			return
		}
		if q.port == 0 || q.left < 0 || q.uploaded < 0 || q.downloaded < 0 || q.numwant < 0 || q.numwant > maxWant || len(q.key) > maxKey {
			t.Fatalf("accepted %+v", q)
		}
		// What our own client would say of it must read back the same.
		u := request{infoHash: q.infoHash, id: q.id, port: q.port, event: q.event,
			stats: Stats{q.uploaded, q.downloaded, q.left}}.query()
		again, err := parseAnnounce(u)
		if err != nil || again.infoHash != q.infoHash || again.id != q.id || again.port != q.port || again.left != q.left || again.event != q.event {
			t.Fatalf("%+v went out as %s and came back as %+v, %v", q, u, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, s := range answerSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			checkText(t, cause(err))
			return
		}
		checkAnswer(t, a)
	})
}

func FuzzUDPAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x07\x08\x00\x00\x00\x01\x00\x00\x00\x02\x7f\x00\x00\x01\x1a\xe1"), false)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"+strings.Repeat("\x00", 18)), true)
	f.Add([]byte("short"), false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		width := 4
		if six {
			width = 16
		}
		if a, err := parseUDPAnswer(b, width); err == nil {
			checkAnswer(t, a)
		}
	})
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"seed:6969", "[::1]:1", "[", "a:b:c", "127.0.0.1", "x\r\ny", "%41", "a.", ".", "_a_"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, h string) {
		if got, ok := cleanHost(h); ok {
			u, err := url.Parse("http://" + got + "/announce")
			if err != nil || u.Host != h || u.Path != "/announce" || u.User != nil || strings.ContainsAny(h, " $`'\"\\;&|<>()/%@") {
				t.Fatalf("%q passed as a host: %v, %v", h, u, err)
			}
		}
	})
}

func checkAnswer(t *testing.T, a answer) {
	t.Helper()
	if a.interval < 0 || a.interval > maxInterval || a.minInterval < 0 || a.minInterval > maxInterval || len(a.peers) > maxAnswerPeers {
		t.Fatalf("accepted %v, %v, %d peers", a.interval, a.minInterval, len(a.peers))
	}
	for _, p := range a.peers {
		if p.Port() == 0 || !p.IsValid() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			t.Fatalf("accepted %v", p)
		}
	}
}

func checkText(t *testing.T, s string) {
	t.Helper()
	if s == "" || len([]rune(s)) > 250 || strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 {
		t.Fatalf("not fit for a terminal: %q", s)
	}
}
