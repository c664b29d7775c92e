// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What one address may ask of the server: a classroom behind one router, whose machines announce
// every two seconds at first, asks far less.
const (
	perSecond   = 500
	burst       = 1000
	maxBuckets  = 4096
	maxConns    = 1024 // open at a time
	maxPerHost  = 512  // of them, from one address
	retryAfter  = "2"  // seconds
	browserMark = "Mozilla/"
)

// A guard counts what each address asks for.
type guard struct {
	mu      sync.Mutex
	buckets map[netip.Addr]*rate.Limiter
}

// admit says whether an address may be answered now. When there are too many addresses to keep
// apart all of them begin anew.
func (g *guard) admit(from netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.buckets[from]
	if b == nil {
		if g.buckets == nil || len(g.buckets) >= maxBuckets {
			g.buckets = map[netip.Addr]*rate.Limiter{}
		}
		b = rate.NewLimiter(perSecond, burst)
		g.buckets[from] = b
	}
	return b.AllowN(now, 1)
}

// refused is why a request is not answered, with its status, or "".
func (s *Server) refused(r *http.Request) (why string, status int) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	switch {
	case err == nil && !s.guard.admit(from.Addr().Unmap(), s.cfg.Now()):
		return "too many requests", http.StatusTooManyRequests
	case crossSite(r):
		return "not for other sites", http.StatusForbidden
	case rebound(r):
		return "open this page by the machine's address or plain name", http.StatusForbidden
	}
	return "", 0
}

// crossSite says whether a browser asks on behalf of a page from elsewhere: no such page may announce
// or read what is here. A link to the page from elsewhere is a link.
func crossSite(r *http.Request) bool {
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		return err != nil || !strings.EqualFold(u.Host, r.Host)
	}
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// rebound says whether a browser came here by a name that anybody may have pointed at this address
// (DNS rebinding), so that a page from elsewhere seems to be of this server. Names without a dot
// and this machine's own are the local network's. Who is no browser runs no such page.
func rebound(r *http.Request) bool {
	if !strings.HasPrefix(r.UserAgent(), browserMark) {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return false
	}
	own, err := os.Hostname()
	first, _, _ := strings.Cut(host, ".")
	return err != nil || !strings.EqualFold(host, own) && !strings.EqualFold(first, own) && !strings.HasSuffix(strings.ToLower(host), ".local")
}

// capped is a listener that bounds the connections open at a time, since each is a goroutine and a
// descriptor: those above are closed at once.
type capped struct {
	net.Listener

	mu    sync.Mutex
	total int
	hosts map[netip.Addr]int
}

func newCapped(l net.Listener) *capped { return &capped{Listener: l, hosts: map[netip.Addr]int{}} }

func (l *capped) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := ipOf(c.RemoteAddr())
		if l.enter(from) {
			return &cappedConn{Conn: c, leave: sync.OnceFunc(func() { l.exit(from) })}, nil
		}
		_ = c.Close()
	}
}

func (l *capped) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxConns || l.hosts[from] >= maxPerHost {
		return false
	}
	l.total++
	l.hosts[from]++
	return true
}

func (l *capped) exit(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.hosts[from]--; l.hosts[from] == 0 {
		delete(l.hosts, from)
	}
}

type cappedConn struct {
	net.Conn
	leave func()
}

func (c *cappedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
