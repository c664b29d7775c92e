// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxTrackers is how many different trackers of a torrent are announced to at most: each is a
// goroutine and a request, and a torrent may come from anywhere.
const maxTrackers = 32

// Stats is what an announce reports, in bytes.
type Stats struct{ Uploaded, Downloaded, Left int64 }

// ClientConfig says what to announce and to whom.
type ClientConfig struct {
	Trackers []string // announce URLs: http, https, udp
	InfoHash [20]byte
	PeerID   [20]byte
	Key      uint32 // BEP 7: proves that a peer that moved is the same; 0: a random one
	Port     uint16 // the TCP port at which peers reach us

	// Stats is asked before each announce. Nil: nothing uploaded, downloaded or left.
	Stats func() Stats
	// Peers takes what a tracker answered: addresses that may be our own, may be known already,
	// and may be lies. It is called by one goroutine at a time and must not block.
	Peers func([]netip.AddrPort)

	UserAgent string
	Log       *slog.Logger

	Timeout     time.Duration // of one announce; 0: 10 s
	StopTimeout time.Duration // of all farewells together; 0: 2 s
	MinRetry    time.Duration // the first wait after a failure, doubled by each further one; 0: 1 s
	MaxRetry    time.Duration // the longest of those waits; 0: 15 s

	// DialContext makes connections; nil: the plain dialer. Networks are "tcp" and "udp".
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for https trackers; nil: the system's roots.
	TLS *tls.Config
	// Jitter gives numbers in [0, 1), from any goroutine; nil: random ones.
	Jitter func() float64
}

// TrackerStatus is how things stand with one tracker.
type TrackerStatus struct {
	URL       string
	LastError string    // the cause in a few words; empty when the last announce succeeded
	LastOK    time.Time // zero: never
	Peers     int       // in the last answer
	Seeds     int       // who have everything, by the last answer; -1: it does not say
	Leeches   int       // who miss something, by the last answer; -1: it does not say
	Completed bool      // it has been told that we have everything, and the last answer is later
	ReportURL string    // where it takes reports (docs/seed-http.md); "": nowhere
}

// A Client announces one torrent to its trackers.
type Client struct {
	cfg      ClientConfig
	trackers []*announcer
	rejected []TrackerStatus // URLs that cannot be announced to

	peersMu       sync.Mutex // serialises cfg.Peers
	completed     chan struct{}
	completedOnce sync.Once
}

// NewClient makes a Client; nothing is sent before Run.
func NewClient(cfg ClientConfig) *Client {
	setDefaults(&cfg)
	c := &Client{cfg: cfg, completed: make(chan struct{})}
	http := newHTTP(&c.cfg)
	var seen []string
	for _, raw := range cfg.Trackers {
		u, reason := parseURL(raw)
		if reason == "" && slices.Contains(seen, u.String()) {
			continue
		}
		if reason == "" && len(c.trackers) == maxTrackers {
			reason = "too many trackers"
		}
		if reason != "" {
			bad := TrackerStatus{URL: printable(raw), LastError: reason}
			if len(c.rejected) < maxTrackers && !slices.Contains(c.rejected, bad) {
				c.rejected = append(c.rejected, bad)
			}
			continue
		}
		seen = append(seen, u.String())
		send := http.announce
		if u.Scheme == "udp" {
			send = udpTracker{dial: c.cfg.DialContext}.announce
		}
		c.trackers = append(c.trackers, newAnnouncer(c, u, send))
	}
	return c
}

func setDefaults(cfg *ClientConfig) {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&cfg.Timeout, 10 * time.Second},
		{&cfg.StopTimeout, 2 * time.Second},
		{&cfg.MinRetry, time.Second},
		{&cfg.MaxRetry, 15 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.Stats == nil {
		cfg.Stats = func() Stats { return Stats{} }
	}
	if cfg.Peers == nil {
		cfg.Peers = func([]netip.AddrPort) {}
	}
	for cfg.Key == 0 {
		cfg.Key = rand.Uint32()
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "ezio"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.DialContext == nil {
		cfg.DialContext = (&net.Dialer{}).DialContext
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
}

// parseURL checks an announce URL and brings it into one form. A reason means that it cannot be
// used.
func parseURL(raw string) (u *url.URL, reason string) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, "not a URL"
	}
	u.Host, u.Fragment = strings.ToLower(u.Host), ""
	switch {
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp":
		return nil, "unsupported kind of tracker"
	case u.Hostname() == "":
		return nil, "URL without a host"
	case u.Scheme == "udp" && u.Port() == "":
		return nil, "URL without a port"
	}
	return u, ""
}

// Run announces to every tracker, each at its own pace, until ctx ends. Whoever heard of us is
// then told that we stop, for at most StopTimeout. It is called once.
func (c *Client) Run(ctx context.Context) {
	for _, r := range c.rejected {
		c.cfg.Log.Warn("tracker ignored", "url", r.URL, "reason", r.LastError)
	}
	// The farewell's deadline is one for all of them, so it starts with the end of ctx.
	farewell, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(c.cfg.StopTimeout, cancel) })()
	var wg sync.WaitGroup
	for _, t := range c.trackers {
		wg.Go(func() { t.run(ctx, farewell) })
	}
	wg.Wait()
	<-ctx.Done() // also without any tracker
}

// Completed tells every tracker at once that the download has ended. Trackers that cannot be
// reached are told when they can. Further calls do nothing.
func (c *Client) Completed() { c.completedOnce.Do(func() { close(c.completed) }) }

// Announce asks every tracker for peers now rather than when it is next due, but not more than
// once a second, nor more often than the tracker permits.
func (c *Client) Announce() {
	for _, t := range c.trackers {
		select {
		case t.nudge <- struct{}{}:
		default:
		}
	}
}

// Status is how things stand with each tracker, those that cannot be used last.
func (c *Client) Status() []TrackerStatus {
	list := make([]TrackerStatus, 0, len(c.trackers)+len(c.rejected))
	for _, t := range c.trackers {
		t.mu.Lock()
		list = append(list, t.status)
		t.mu.Unlock()
	}
	return append(list, c.rejected...)
}
