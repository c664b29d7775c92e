// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// Defaults of a Server.
const (
	DefaultInterval   = 30 * time.Second
	DefaultMaxPeers   = 10000
	DefaultMaxPerAddr = 256 // a classroom behind one router is one address

	shortInterval = 2 * time.Second
	settleTime    = 30 * time.Second
)

// A Tracked is one torrent of a Server. Only InfoHash is needed.
type Tracked struct {
	InfoHash [20]byte
	Name     string // of the image
	Size     int64  // bytes of the image

	// Torrent builds the .torrent to serve, with that tracker; the same tracker must always give
	// the same bytes. Nil: none is served. It is called from one goroutine at a time.
	Torrent func(announceURL string) ([]byte, error)

	// SeedPort is the TCP port at which this program itself seeds; 0: it does not. Every client
	// is given this port at the very address at which it reached the tracker.
	SeedPort int
}

// ServerConfig says what a Server tracks, and how. Only Torrents is needed.
type ServerConfig struct {
	Torrents []Tracked

	// Pages answers whatever is no announce, scrape or .torrent, behind the same guard as these. Nil:
	// nothing else is here.
	Pages http.Handler

	// ReportPath is where in Pages receivers may say more of themselves than an announce can; it is
	// told to those who announce. Empty: nowhere.
	ReportPath string

	// Interval is what clients are told to wait between announces. For 30 s after a newcomer it
	// is at most 2 s, so that machines switched on together find each other at once.
	Interval time.Duration

	MaxPeers   int // peers of a torrent remembered, dead ones included; more are refused
	MaxPerAddr int // of them, at one IP address

	Now  func() time.Time
	Rand *rand.Rand
	Log  *slog.Logger
}

// A Server is the tracker of some torrents on one port: an http.Handler that starts nothing of its
// own and may be used from any number of goroutines.
type Server struct {
	cfg   ServerConfig
	rooms []*room
	guard guard

	// Limits on a connection, so that a client that trickles cannot hold one for long.
	headerTimeout, readTimeout, writeTimeout, idleTimeout time.Duration
}

// A room is one torrent: its peers, and the .torrent that is served.
type room struct {
	Tracked
	file  string // the one name that is this torrent's, with .torrent
	peers *registry
	built torrentCache
}

// NewServer makes a Server; it serves once its ServeHTTP or Serve is called.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.MaxPeers <= 0 {
		cfg.MaxPeers = DefaultMaxPeers
	}
	if cfg.MaxPerAddr <= 0 {
		cfg.MaxPerAddr = DefaultMaxPerAddr
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:           cfg,
		headerTimeout: 5 * time.Second,
		readTimeout:   10 * time.Second,
		writeTimeout:  10 * time.Second, // more for a large .torrent
		idleTimeout:   10 * time.Second,
	}
	taken := map[string]bool{}
	for _, t := range cfg.Torrents {
		s.rooms = append(s.rooms, &room{
			Tracked: t,
			file:    freeName(t.Name, taken),
			peers: &registry{
				size:     t.Size,
				interval: cfg.Interval,
				short:    shortInterval,
				settle:   settleTime,
				maxPeers: cfg.MaxPeers,
				maxPer:   cfg.MaxPerAddr,
				rand:     rand.New(rand.NewPCG(cfg.Rand.Uint64(), cfg.Rand.Uint64())),
				byID:     map[[20]byte]*peer{},
				subs:     map[chan struct{}]struct{}{},
			},
		})
	}
	return s
}

// ServeHTTP routes: /announce, /scrape, any one name that ends in .torrent, and all else to Pages.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, methods := s.route(r.URL.Path)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	why, status := s.refused(r)
	switch {
	case why != "":
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, why, status)
	case h == nil:
		s.cfg.Pages.ServeHTTP(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead,
		r.Method == http.MethodHead && methods == "GET": // an announce is not something to peek at
		w.Header().Set("Allow", methods)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		h(w, r)
	}
}

// route gives the path's handler and the methods it takes; nil: that of Pages.
func (s *Server) route(path string) (http.HandlerFunc, string) {
	switch {
	case path == "/announce":
		return s.announce, "GET"
	case path == "/scrape":
		return s.scrape, "GET"
	case strings.HasSuffix(path, ".torrent") && strings.LastIndexByte(path, '/') == 0:
		return s.torrent, "GET, HEAD"
	case s.cfg.Pages == nil:
		return http.NotFound, "GET, HEAD"
	}
	return nil, ""
}

// room is the torrent with that infohash, nil for one that is not here.
func (s *Server) room(h [20]byte) *room {
	for _, m := range s.rooms {
		if m.InfoHash == h {
			return m
		}
	}
	return nil
}

// File is the path, as in "/sda1.torrent", at which the torrent number i of the configuration is
// served. While there is only one it is served under any other name as well.
func (s *Server) File(i int) string { return "/" + s.rooms[i].file }

// Receivers is a snapshot of every peer of the torrent number i, in the order in which they came.
func (s *Server) Receivers(i int) []Receiver { return s.rooms[i].peers.receivers(s.cfg.Now()) }

// Subscribe gives a channel that receives after anything about the receivers of the torrent number i
// has changed since it last received; many changes may come as one, none is ever missed. The caller
// then looks at Receivers. stop ends the subscription.
//
// That a silent peer is lost is noticed, without anybody asking, only while Serve runs.
func (s *Server) Subscribe(i int) (changed <-chan struct{}, stop func()) {
	return s.rooms[i].peers.subscribe()
}

// Serve answers on l until ctx ends, then lets requests under way finish for at most a second,
// and returns nil. It closes l, and leaves no goroutine behind. Any other end is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.httpServer()
	srv.BaseContext = func(net.Listener) context.Context { return ctx } // streams end with it
	served := make(chan error, 1)
	go func() { served <- srv.Serve(newCapped(l)) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-served:
			_ = srv.Close()
			return fmt.Errorf("serve %v: %w", l.Addr(), err)
		case <-tick.C:
			for _, m := range s.rooms {
				m.peers.counts(s.cfg.Now()) // notices the silent
			}
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := srv.Shutdown(grace); err != nil {
				_ = srv.Close() // whoever still trickles is cut off
			}
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %v: %w", l.Addr(), err)
			}
			return nil
		}
	}
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.headerTimeout,
		ReadTimeout:       s.readTimeout,
		WriteTimeout:      s.writeTimeout,
		IdleTimeout:       s.idleTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}
