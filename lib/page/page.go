// SPDX-License-Identifier: GPL-2.0-or-later

// Package page is what the seed shows of its deployments over HTTP: the operator's page at / with the
// server-sent events that keep it current, the same as data at /status.json, for Prometheus at
// /metrics, and the endpoint at which receivers report (docs/seed-http.md).
//
// The page is rendered in one place, by the server: what a browser without scripts gets is what the
// events carry, and the script only moves the difference into the document. So whatever a receiver
// calls itself passes through html/template and nothing else.
//
// Invariants: nothing is loaded from elsewhere, and the policy sent with the page would stop it; the
// number of streams is bounded, and each ends when the server does. Who may ask at all is decided
// before: the tracker's server has the guard.
package page

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"ezio/lib/report"
	"ezio/lib/roster"
)

// Config says what to show.
type Config struct {
	// Status is the deployments at this moment; their order does not change.
	Status func() []roster.Status
	// Report takes a receiver's report: its error is told to the sender. ErrUnknown: no such torrent.
	Report  func(from netip.Addr, p report.Report) (report.Answer, error)
	Version string
	Now     func() time.Time
	Log     *slog.Logger
}

// ErrUnknown is a report about a torrent that is not here.
var ErrUnknown = errors.New("unknown infohash")

// A Page is an http.Handler.
type Page struct {
	cfg     Config
	metrics http.Handler
	streams streams

	mu     sync.Mutex
	cached State
}

// A State is what /status.json answers.
type State struct {
	Version  string          `json:"version"`
	Time     time.Time       `json:"time"`
	Torrents []roster.Status `json:"torrents"`
}

// New makes a Page; it starts nothing.
func New(cfg Config) *Page {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Page{cfg: cfg}
	p.metrics = newMetrics(p)
	return p
}

// ServeHTTP routes.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, methods := p.route(r.URL.Path)
	switch {
	case h == nil:
		http.NotFound(w, r)
	case r.Method == methods, methods == http.MethodGet && r.Method == http.MethodHead:
		w.Header().Set("Cache-Control", "no-store")
		h(w, r)
	default:
		if methods == http.MethodGet {
			methods = "GET, HEAD"
		}
		w.Header().Set("Allow", methods)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func (p *Page) route(path string) (http.HandlerFunc, string) {
	switch path {
	case "/":
		return p.document, http.MethodGet
	case "/events":
		return p.events, http.MethodGet
	case "/status.json":
		return p.status, http.MethodGet
	case "/metrics":
		return p.metrics.ServeHTTP, http.MethodGet
	case report.Path:
		return p.report, http.MethodPost
	}
	return nil, ""
}

// freshFor is how old what is shown may be: many who look at the same time share one look.
const freshFor = 500 * time.Millisecond

func (p *Page) state() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.cfg.Now(); p.cached.Time.IsZero() || now.Sub(p.cached.Time) >= freshFor || now.Before(p.cached.Time) {
		p.cached = State{Version: p.cfg.Version, Time: now, Torrents: p.cfg.Status()}
	}
	return p.cached
}

func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	p.json(w, r, p.state())
}

func (p *Page) json(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		p.cfg.Log.Error("encode", "path", r.URL.Path, "err", err)
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	b = append(b, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b)
	}
}

// report takes what a receiver says of itself. Demanding JSON keeps the forms of other sites' pages
// out, beside the guard.
func (p *Page) report(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "a report is application/json", http.StatusUnsupportedMediaType)
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "no address", http.StatusInternalServerError)
		return
	}
	said, err := report.Parse(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a, err := p.cfg.Report(from.Addr().Unmap().WithZone(""), said)
	switch {
	case errors.Is(err, ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		p.json(w, r, a)
	}
}
