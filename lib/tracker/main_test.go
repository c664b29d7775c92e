// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testHash = [20]byte([]byte("\x00 +%&;=#/?\xff0123456789")[:20])

func testID(n int) (id [20]byte) {
	copy(id[:], fmt.Sprintf("-EZ0000-%012d", n))
	return id
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// clock is a time that tests move.
type clock struct{ t time.Time }

func newClock() *clock                   { return &clock{time.Unix(1700000000, 0)} }
func (c *clock) now() time.Time          { return c.t }
func (c *clock) forward(d time.Duration) { c.t = c.t.Add(d) }
func addr(s string) netip.AddrPort       { return netip.MustParseAddrPort(s) }
func lan(n int) netip.Addr               { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
func from(n int) view                    { return view{from: lan(n), local: lan(65000)} }
func missing(n int, left int64) query {
	return query{id: testID(n), port: 6881, left: left, numwant: 50}
}
func (q query) with(e event, k string) query { q.event, q.key = e, k; return q }

// listen serves s on a port of that address until the test ends.
func listen(t *testing.T, s *Server, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// ask is a bare HTTP client: one connection a request, no redirects.
func ask(t *testing.T, method, u string, edit func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if edit != nil {
		edit(req)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// params is an announce's query string; overrides are name, value pairs, and "-" takes one out.
func params(id int, left int64, overrides ...string) string {
	v := url.Values{}
	testID := testID(id)
	v.Set("info_hash", string(testHash[:]))
	v.Set("peer_id", string(testID[:]))
	v.Set("port", "7000")
	v.Set("uploaded", "0")
	v.Set("downloaded", "0")
	v.Set("left", fmt.Sprint(left))
	for i := 0; i < len(overrides); i += 2 {
		if v.Set(overrides[i], overrides[i+1]); overrides[i+1] == "-" {
			v.Del(overrides[i])
		}
	}
	return strings.ReplaceAll(v.Encode(), "+", "%20")
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	d := decoder{b: []byte(body)}
	v, err := d.value(0)
	m, ok := v.(map[string]any)
	if err != nil || !ok || d.pos != len(body) {
		t.Fatalf("not one bencoded dict: %q", body)
	}
	return m
}

// eventually waits for something another goroutine or program does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s", what)
		}
	}
}

type rawAnswer struct {
	status int
	body   string
}

// raw sends a request as written and reads the answer to the connection's end.
func raw(t *testing.T, where, request string) rawAnswer {
	t.Helper()
	c, err := net.Dial("tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rawAnswer{resp.StatusCode, string(body)}
}
