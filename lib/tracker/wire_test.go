// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

// once announces a single time, as Run does.
func once(cfg ClientConfig, tracker string, e event) (answer, error) {
	cfg.Trackers = []string{tracker}
	c := NewClient(cfg)
	t := c.trackers[0]
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	return t.send(ctx, t.url, request{infoHash: testHash, id: testID(1), port: 7000, key: 5, event: e, userAgent: "ezio"})
}

// patient is a client that gives up soon where that is what the test is about, and else bears with
// a busy machine.
func patient(want string) ClientConfig {
	if want == "timeout" {
		return ClientConfig{Timeout: 300 * time.Millisecond}
	}
	return ClientConfig{Timeout: 60 * time.Second}
}

func TestHTTPHostileAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("another host was asked")
	}))
	defer elsewhere.Close()
	another := strings.Replace(elsewhere.URL, "127.0.0.1", "127.0.0.2", 1)
	const good = "d8:intervali30e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"
	mux := http.NewServeMux()
	handle := func(path string, f func(w http.ResponseWriter, r *http.Request)) { mux.HandleFunc(path, f) }
	handle("/good", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, good) })
	handle("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good", http.StatusFound) })
	handle("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, another, http.StatusFound) })
	handle("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	handle("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	handle("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("l", 1<<16)); err != nil {
				return
			}
		}
	})
	handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "d8:interval")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	handle("/silent", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	handle("/header", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	handle("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(make([]byte, 4<<20))
		z.Close()
	})
	handle("/lies", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nd")
	})
	handle("/peers", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "d5:peersld2:ipi3eeee") })
	handle("/refused", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "d14:failure reason7:not youe")
	})
	handle("/busy", func(w http.ResponseWriter, r *http.Request) { http.Error(w, good, http.StatusServiceUnavailable) })
	evil := httptest.NewServer(mux)
	defer evil.Close()
	for path, want := range map[string]string{
		"good":    "[10.0.0.1:6881]",
		"moved":   "[10.0.0.1:6881]",
		"peers":   "[]",
		"away":    "redirected to another host",
		"file":    "redirected to another host",
		"round":   "redirected too often",
		"endless": "answer is longer than 256 KiB",
		"slow":    "timeout",
		"silent":  "timeout",
		"header":  "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 16384 bytes; aborted",
		"gzip":    "not a tracker's answer: bad number at byte 0",
		"lies":    "unexpected EOF",
		"none":    "HTTP status 404 Not Found",
		"busy":    "HTTP status 503 Service Unavailable",
		"refused": "not you",
	} {
		a, err := once(patient(want), evil.URL+"/"+path, shared.Started)
		got := fmt.Sprint(a.peers)
		if err != nil {
			got = cause(err)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// https means that somebody vouches for the tracker, to the end.
func TestHTTPSIsVerified(t *testing.T) {
	var target string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target != "" {
			http.Redirect(w, r, target, http.StatusFound)
			return
		}
		io.WriteString(w, "d8:intervali30e5:peers0:e")
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if _, err := once(ClientConfig{}, s.URL, 0); err == nil || !strings.Contains(cause(err), "certificate") {
		t.Errorf("a certificate that nobody signed: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	trusting := ClientConfig{TLS: &tls.Config{RootCAs: roots}}
	if _, err := once(trusting, s.URL, 0); err != nil {
		t.Errorf("a certificate that is known: %v", err)
	}
	target = "http://127.0.0.1:1/"
	if _, err := once(trusting, s.URL, 0); err == nil || cause(err) != "redirected to another host" {
		t.Errorf("redirected from https to http: %v", err)
	}
}

func TestHTTPRequest(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		io.WriteString(w, "d8:intervali30e5:peers0:e")
	}))
	defer s.Close()
	if _, err := once(ClientConfig{}, s.URL+"/announce?passkey=a%20b", shared.Stopped); err != nil {
		t.Fatal(err)
	}
	want := "passkey=a%20b&compact=1&downloaded=0&event=stopped&info_hash=%00%20%2B%25%26%3B%3D%23%2F%3F%FF012345678" +
		"&key=00000005&left=0&numwant=0&peer_id=-EZ0000-000000000001&port=7000&uploaded=0"
	if got.URL.RawQuery != want || got.Header.Get("Accept-Encoding") != "" || !got.Close || got.UserAgent() != "ezio" {
		t.Errorf("asked %s\nwant  %s\nwith %v", got.URL.RawQuery, want, got.Header)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	where := l.Addr().String()
	l.Close()
	for _, u := range []string{"http://" + where + "/announce", "udp://" + where} {
		if _, err := once(ClientConfig{}, u, 0); err == nil || cause(err) != "connection refused" {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// The dialer is the caller's, for both protocols.
func TestDialContext(t *testing.T) {
	var asked []string
	cfg := ClientConfig{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		asked = append(asked, network+" "+addr)
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "seed", IsNotFound: true}}
	}}
	for _, u := range []string{"http://seed/announce", "udp://seed:6969"} {
		if _, err := once(cfg, u, 0); err == nil || cause(err) != "no such host: seed" {
			t.Errorf("%s: %v", u, err)
		}
	}
	if !slices.Equal(asked, []string{"tcp seed:80", "udp seed:6969"}) {
		t.Errorf("dialed %q", asked)
	}
}

// What a foreign client sends by hand: our server bears a request line with everything in it.
func TestServerBearsOddRequests(t *testing.T) {
	where := listen(t, NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash}}}), "127.0.0.1")
	for _, line := range []string{
		"GET /announce?info_hash=%00&&&=&x HTTP/1.1", "GET /announce?%ff%ff HTTP/1.0", "GET * HTTP/1.1",
		"GET http://other/announce HTTP/1.1", "CONNECT x:1 HTTP/1.1", "GET /%00 HTTP/1.1", "\x16\x03\x01\x02\x00",
	} {
		c, err := net.Dial("tcp", where)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s\r\nHost: x\r\nConnection: close\r\n\r\n", line)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if resp.StatusCode >= 500 {
			t.Errorf("%q: %s", line, resp.Status)
		}
		c.Close()
	}
	u, err := url.Parse("http://" + where + "/announce?" + params(1, 9))
	if err != nil {
		t.Fatal(err)
	}
	if _, body := ask(t, "GET", u.String(), nil); decode(t, body)["interval"] == nil {
		t.Errorf("afterwards: %q", body)
	}
}
