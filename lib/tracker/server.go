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

// ServerConfig says what a Server tracks. Only InfoHash is needed.
type ServerConfig struct {
	InfoHash    [20]byte
	Name        string // of the image
	Size        int64  // bytes of the image
	Pieces      int    // how many
	PieceLength int64  // bytes

	// Torrent builds the .torrent to serve, with that tracker; the same tracker must always give
	// the same bytes. Nil: none is served. It is called from one goroutine at a time.
	Torrent func(announceURL string) ([]byte, error)

	// SeedPort is the TCP port at which this program itself seeds; 0: it does not. Every client
	// is given this port at the very address at which it reached the tracker.
	SeedPort int

	// Interval is what clients are told to wait between announces. For 30 s after a newcomer it
	// is at most 2 s, so that machines switched on together find each other at once.
	Interval time.Duration

	MaxPeers   int // peers remembered, dead ones included; more are refused
	MaxPerAddr int // of them, at one IP address

	Now  func() time.Time
	Rand *rand.Rand
	Log  *slog.Logger
}

// A Server is the tracker and web page of one torrent: an http.Handler that starts nothing of its
// own and may be used from any number of goroutines.
type Server struct {
	cfg   ServerConfig
	peers *registry
	built torrentCache
	guard guard

	// Limits on a connection, so that a client that trickles cannot hold one for long.
	headerTimeout, readTimeout, writeTimeout, idleTimeout time.Duration
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
	return &Server{
		cfg: cfg,
		peers: &registry{
			size:     cfg.Size,
			interval: cfg.Interval,
			short:    shortInterval,
			settle:   settleTime,
			maxPeers: cfg.MaxPeers,
			maxPer:   cfg.MaxPerAddr,
			rand:     cfg.Rand,
			byID:     map[[20]byte]*peer{},
			subs:     map[chan struct{}]struct{}{},
		},
		headerTimeout: 5 * time.Second,
		readTimeout:   10 * time.Second,
		writeTimeout:  10 * time.Second, // more for a large .torrent
		idleTimeout:   10 * time.Second,
	}
}

// ServeHTTP routes: /announce, /scrape, any one name that ends in .torrent, and the page at /.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, methods := s.route(r.URL.Path)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	why, status := s.refused(r)
	switch {
	case why != "":
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, why, status)
	case r.Method != http.MethodGet && r.Method != http.MethodHead,
		r.Method == http.MethodHead && methods == "GET": // an announce is not something to peek at
		w.Header().Set("Allow", methods)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case h == nil:
		http.NotFound(w, r)
	default:
		h(w, r)
	}
}

// route gives the path's handler, nil for none, and the methods it takes.
func (s *Server) route(path string) (http.HandlerFunc, string) {
	switch {
	case path == "/":
		return s.page, "GET, HEAD"
	case path == "/announce":
		return s.announce, "GET"
	case path == "/scrape":
		return s.scrape, "GET"
	case strings.HasSuffix(path, ".torrent") && strings.LastIndexByte(path, '/') == 0:
		return s.torrent, "GET, HEAD"
	default:
		return nil, "GET, HEAD"
	}
}

// Receivers is a snapshot of every peer that came, in the order in which they came.
func (s *Server) Receivers() []Receiver { return s.peers.receivers(s.cfg.Now()) }

// Finished is how many different peers (by peer id) ended their download here. It never shrinks.
func (s *Server) Finished() int { return s.peers.counts(s.cfg.Now()).finished }

// Subscribe gives a channel that receives after anything about the receivers has changed since it
// last received; many changes may come as one, none is ever missed. The caller then looks at
// Receivers or Finished. stop ends the subscription.
//
// That a silent peer is lost is noticed, without anybody asking, only while Serve runs.
func (s *Server) Subscribe() (changed <-chan struct{}, stop func()) { return s.peers.subscribe() }

// Serve answers on l until ctx ends, then lets requests under way finish for at most a second,
// and returns nil. It closes l, and leaves no goroutine behind. Any other end is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.httpServer()
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
			s.peers.counts(s.cfg.Now()) // notices the silent
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
