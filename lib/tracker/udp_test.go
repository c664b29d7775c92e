// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
	"github.com/anacrolix/torrent/tracker/udp"
)

// udpServer answers packets on a loopback port by the test's rules: answer gets the request and
// gives the packets to send back.
func udpServer(t *testing.T, ip string, answer func(h udp.RequestHeader, body []byte) [][]byte) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			r := bytes.NewReader(b[:n])
			var h udp.RequestHeader
			if err := udp.Read(r, &h); err != nil {
				t.Errorf("packet of %d bytes: %v", n, err)
				continue
			}
			for _, p := range answer(h, slices.Clone(b[n-r.Len():n])) {
				_, _ = pc.WriteTo(p, from)
			}
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return "udp://" + pc.LocalAddr().String()
}

func packet(action udp.Action, tx udp.TransactionId, parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range append([]any{action, tx}, parts...) {
		if s, ok := p.(string); ok {
			b.WriteString(s)
		} else if err := binary.Write(&b, binary.BigEndian, p); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// polite is a tracker by the book.
func polite(t *testing.T, peers string, seen *atomic.Pointer[udp.AnnounceRequest]) func(udp.RequestHeader, []byte) [][]byte {
	return func(h udp.RequestHeader, body []byte) [][]byte {
		switch {
		case h.Action == udp.ActionConnect && h.ConnectionId == udp.ConnectRequestConnectionId:
			return [][]byte{packet(udp.ActionConnect, h.TransactionId, uint64(77))}
		case h.Action == udp.ActionAnnounce && h.ConnectionId == 77:
			var a udp.AnnounceRequest
			if err := udp.Read(bytes.NewReader(body), &a); err != nil {
				t.Error(err)
			}
			seen.Store(&a)
			return [][]byte{packet(udp.ActionAnnounce, h.TransactionId, int32(1800), int32(3), int32(2), peers)}
		}
		t.Errorf("unexpected packet %+v", h)
		return nil
	}
}

func TestUDPAnnounce(t *testing.T) {
	var seen atomic.Pointer[udp.AnnounceRequest]
	for ip, c := range map[string]struct{ peers, want string }{
		"127.0.0.1": {"\x0a\x00\x00\x01\x1a\xe1", "30m0s 2 3 [10.0.0.1:6881]"},
		"::1":       {"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1", "30m0s 2 3 [[2001:db8::1]:6881]"},
	} {
		a, err := once(ClientConfig{}, udpServer(t, ip, polite(t, c.peers, &seen)), shared.Completed)
		if got := fmt.Sprint(a.interval, a.seeds, a.leeches, a.peers); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", ip, got, err, c.want)
		}
		if r := seen.Load(); r == nil || r.InfoHash != testHash || r.PeerId != testID(1) || r.Port != 7000 || r.Event != shared.Completed || r.Key != 5 || r.IPAddress != 0 {
			t.Errorf("%s: was asked %+v", ip, r)
		}
	}
}

func TestUDPPathIsSent(t *testing.T) {
	got := make(chan []byte, 1)
	u := udpServer(t, "127.0.0.1", func(h udp.RequestHeader, body []byte) [][]byte {
		if h.Action == udp.ActionConnect {
			return [][]byte{packet(udp.ActionConnect, h.TransactionId, uint64(77))}
		}
		got <- body[82:]
		return [][]byte{packet(udp.ActionAnnounce, h.TransactionId, int32(1), int32(0), int32(0))}
	})
	if _, err := once(ClientConfig{}, u+"/announce?passkey=1", 0); err != nil {
		t.Fatal(err)
	}
	if opt, want := string(<-got), "\x02\x13/announce?passkey=1"; opt != want {
		t.Errorf("options %q, want %q", opt, want)
	}
}

func TestUDPHostileAnswers(t *testing.T) {
	noise := func(h udp.RequestHeader) [][]byte {
		return [][]byte{
			nil, []byte("short"), packet(h.Action, h.TransactionId+1, uint64(1)), packet(udp.ActionScrape, h.TransactionId, uint64(1)),
		}
	}
	connected := func(h udp.RequestHeader) [][]byte {
		return [][]byte{packet(udp.ActionConnect, h.TransactionId, uint64(77))}
	}
	var packets atomic.Int32
	tests := []struct {
		name, want string
		answer     func(h udp.RequestHeader, body []byte) [][]byte
	}{
		{"noise and triples before and after what counts", "[10.0.0.1:6881]", func(h udp.RequestHeader, _ []byte) [][]byte {
			p := connected(h)[0]
			if h.Action == udp.ActionAnnounce {
				p = packet(udp.ActionAnnounce, h.TransactionId, int32(60), int32(0), int32(0), "\x0a\x00\x00\x01\x1a\xe1")
			}
			return append(noise(h), p, p, p, p)
		}},
		{"only noise", "timeout", func(h udp.RequestHeader, _ []byte) [][]byte { return noise(h) }},
		{"silence", "timeout", func(h udp.RequestHeader, _ []byte) [][]byte { packets.Add(1); return nil }},
		{"refuses", "torrent not whitelisted", func(h udp.RequestHeader, _ []byte) [][]byte {
			return [][]byte{packet(udp.ActionError, h.TransactionId, "torrent not whitelisted\x00")}
		}},
		{"cut connection id", "read connection id: unexpected EOF", func(h udp.RequestHeader, _ []byte) [][]byte {
			return [][]byte{packet(h.Action, h.TransactionId, "1234")}
		}},
		{"cut announce", "read announce answer: unexpected EOF", func(h udp.RequestHeader, _ []byte) [][]byte {
			if h.Action == udp.ActionConnect {
				return connected(h)
			}
			return [][]byte{packet(h.Action, h.TransactionId, "12345678")}
		}},
		{"a peer and a half", "list of peers is 9 bytes, not a multiple of 6", func(h udp.RequestHeader, _ []byte) [][]byte {
			if h.Action == udp.ActionConnect {
				return connected(h)
			}
			return [][]byte{packet(h.Action, h.TransactionId, "123456789012123456789")}
		}},
	}
	for _, test := range tests {
		a, err := once(patient(test.want), udpServer(t, "127.0.0.1", test.answer), 0)
		got := fmt.Sprint(a.peers)
		if err != nil {
			got = cause(err)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if n := packets.Load(); n > 1 {
		t.Errorf("a silent tracker was sent %d packets in 300 ms", n)
	}
}

// A lost packet is sent again within seconds.
func TestUDPResends(t *testing.T) {
	var seen atomic.Pointer[udp.AnnounceRequest]
	var lost atomic.Bool
	book := polite(t, "", &seen)
	u := udpServer(t, "127.0.0.1", func(h udp.RequestHeader, body []byte) [][]byte {
		if !lost.Swap(true) {
			return nil
		}
		return book(h, body)
	})
	if _, err := once(ClientConfig{Timeout: 60 * time.Second}, u, 0); err != nil {
		t.Errorf("the first packet was lost: %v", err)
	}
}
