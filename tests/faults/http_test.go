// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw is a server that says whatever say writes, after it has read a request.
func raw(t testing.TB, say func(c net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				say(c)
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// repeat writes text again and again, with pauses, until the other side has had enough.
func repeat(c net.Conn, text string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

const okHeader = "HTTP/1.1 200 OK\r\n"

// hostile is a kind of server, the time within which it must be given up, and what is then said. A
// header is waited for ten seconds, an answer sixty; what is longer is for a machine that is busy.
type hostile struct {
	name  string
	limit time.Duration
	want  string
	say   func(c net.Conn)
}

var hostiles = []hostile{
	{"endless", 30 * time.Second, "longer than", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"\r\n")
		repeat(c, strings.Repeat("d", 1<<20), 0)
	}},
	{"a byte a second", 75 * time.Second, "no whole answer within 1m0s", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"\r\n")
		repeat(c, "d", time.Second)
	}},
	{"silent", 20 * time.Second, "timeout", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }},
	{"a header line a second", 20 * time.Second, "timeout", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader)
		repeat(c, "X-A: b\r\n", time.Second)
	}},
	{"endless header", 20 * time.Second, "header", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader)
		repeat(c, "X-A: "+strings.Repeat("b", 1000)+"\r\n", 0)
	}},
	{"less than promised", 9 * time.Second, "unexpected EOF", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"Content-Length: 1000000\r\n\r\nd4:info")
	}},
	{"a length of 2^62", 9 * time.Second, "unexpected EOF", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"Content-Length: 4611686018427387904\r\n\r\nd4:info")
	}},
	{"two lengths", 9 * time.Second, "Content-Length", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"Content-Length: 5\r\nContent-Length: 7\r\n\r\nd4:info")
	}},
	{"zeros, compressed", 40 * time.Second, "longer than", func(c net.Conn) {
		_, _ = io.WriteString(c, okHeader+"Content-Encoding: gzip\r\n\r\n")
		z := gzip.NewWriter(c)
		zeros := make([]byte, 1<<20)
		for range 2000 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
	}},
	{"a circle of redirects", 9 * time.Second, "redirects", func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
	}},
	{"a redirect to another host", 9 * time.Second, "redirected away", func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n")
	}},
	{"a redirect to a file", 9 * time.Second, "", func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: file://127.0.0.1/etc/passwd\r\nContent-Length: 0\r\n\r\n")
	}},
	{"not HTTP", 9 * time.Second, "malformed", func(c net.Conn) { _, _ = io.WriteString(c, "220 smtp ready\r\n") }},
	{"cut off", 9 * time.Second, "EOF", func(net.Conn) {}},
	{"an error", 9 * time.Second, "503", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") }},
	{"escape sequences", 9 * time.Second, "", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 \x1b[2J\a\r\nContent-Length: 0\r\n\r\n") }},
}

// Whatever answers where the torrent should be, it is given up in time, and nothing was touched.
func TestHostileTorrentServer(t *testing.T) {
	t.Parallel()
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			target := filepath.Join(t.TempDir(), "target.img")
			began := time.Now()
			_, procs := cgroup(t, 400*mib)
			r := start(t, "sh", "-c", fmt.Sprintf(`echo $$ >%s && exec %s/ezio-recv -t %sa.torrent -d %s --listen 127.0.0.1:0`, procs, bin, raw(t, h.say), target))
			code := r.wait()
			msg := r.err.String()
			if code != 1 || !strings.Contains(msg, h.want) || strings.Contains(msg, "\x1b") || strings.Count(msg, "\n")-strings.Count(msg, ": waiting for the torrent ") > 2 {
				t.Errorf("exit code %d: %s", code, msg)
			}
			if took := r.end.Sub(began); took > h.limit {
				t.Errorf("given up after %v", took)
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("the target was made")
			}
		})
	}
}

// Trackers like these neither stop a deployment nor hold up its end.
func TestHostileTrackers(t *testing.T) {
	t.Parallel()
	im := newImage(t, 8, 256<<10)
	s := seed(t, im.torrent, im.disk)
	args := []string{"--force", "--peer", s.peer()}
	for _, h := range hostiles {
		args = append(args, "--tracker", raw(t, h.say)+"announce")
	}
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "d8:intervali-9223372036854775808e5:peers%d:%se", 6*100000, strings.Repeat("\xff\xff\xff\xff\xff\xff", 100000))
	}))
	t.Cleanup(liar.Close)
	args = append(args, "--tracker", liar.URL+"/announce")
	_, procs := cgroup(t, 192*mib)
	target := im.blankFile(t)
	r := start(t, append([]string{"sh", "-c", fmt.Sprintf(`echo $$ >%s && exec "$@"`, procs), "sh", bin + "/ezio-recv", "-t", im.torrent, "-d", target,
		"--listen", "127.0.0.1:0", "--seed-idle", "0", "--progress", "json"}, args...)...)
	r.success()
	begin, done := r.await("start", "receiving"), r.await("done", "")
	if took, after := done.Time.Sub(begin.Time), r.end.Sub(done.Time); took > 10*time.Second || after > 10*time.Second {
		t.Errorf("it took %v, and %v to end", took, after)
	}
	im.check(t, readFile(t, target))
}

// Clients that trickle or stay silent do not keep others from the seed's tracker.
func TestSlowClientsOfTheTracker(t *testing.T) {
	t.Parallel()
	im := newImage(t, 8, 256<<10)
	s := seed(t, im.torrent, im.disk)
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/a.torrent")
	for i := range 300 {
		c, err := net.Dial("tcp", host)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if i%2 == 0 {
			go repeat(c, "G", 200*time.Millisecond)
		}
	}
	target := im.blankFile(t)
	recv(t, s.url, target, "--force").success()
	im.check(t, readFile(t, target))
}
