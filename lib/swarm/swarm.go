// SPDX-License-Identifier: GPL-2.0-or-later

// Package swarm is one torrent's life on the network: it serves the pieces a store has and fetches
// those it lacks.
//
// The seam is narrow: a torrent, a store, peers' addresses in; pieces put into the store and
// counters out. Who finds the peers (trackers, the command line) is none of its business. Behind
// the seam, in this first step, is github.com/anacrolix/torrent's Client; the store keeps its own
// promises whatever the engine does: nothing unverified is written, nothing is announced before
// it is written.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/anacrolix/torrent"
	"golang.org/x/time/rate"

	"ezio/lib/metainfo"
)

// A Store is where the pieces are: *store.Store.
type Store interface {
	Has(piece int) bool
	Complete() bool
	// ReadPiece fills p from off bytes into a piece that is present.
	ReadPiece(p []byte, piece int, off int64) error
	// Put verifies and writes a piece. store.ErrHash is the peers' fault, any other error ours.
	Put(piece int, data []byte) error
	// Failed is closed when the disk has failed; Err says how.
	Failed() <-chan struct{}
	Err() error
}

// Config says how to take part. The zero value listens on a port of the system's choosing.
type Config struct {
	Listen      string // host:port for peers; ":0" is any free port
	UploadLimit int64  // bytes a second, 0 for none
	SlowStart   bool   // begin with 10 MB/s and add as much every 10 s up to 100, then no limit
	MaxPeers    int    // connections; 0 means 100
	Log         *slog.Logger
}

// Stats are counters since the start, and the peers of this moment.
type Stats struct {
	Down, Up      int64 // bytes of pieces' data
	Peers         int   // connections
	CompletePeers int   // connected peers that have every piece
}

// A Swarm is one torrent among its peers.
type Swarm struct {
	torrent *metainfo.Torrent
	store   Store
	cfg     Config
	client  *torrent.Client
	t       *torrent.Torrent
	limiter *rate.Limiter
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// New prepares a swarm; Start begins to listen.
func New(t *metainfo.Torrent, st Store, cfg Config) *Swarm {
	if cfg.MaxPeers == 0 {
		cfg.MaxPeers = 100
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Swarm{torrent: t, store: st, cfg: cfg}
}

// Start listens for peers and begins to serve and fetch.
func (s *Swarm) Start() error {
	cc, err := s.clientConfig()
	if err != nil {
		return err
	}
	// Also as the default storage, or the engine opens a database in the working directory.
	pieces := newBuffers(s.torrent, s.store, s.cfg.Log)
	cc.DefaultStorage = pieces
	s.client, err = torrent.NewClient(cc)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen on %s: %w", s.cfg.Listen, syscall.EADDRINUSE)
		}
		return fmt.Errorf("listen on %s: %w", s.cfg.Listen, err)
	}
	s.t, _ = s.client.AddTorrentOpt(torrent.AddTorrentOpts{
		InfoHash:  [20]byte(s.torrent.InfoHash),
		InfoBytes: s.torrent.InfoBytes(),
		Storage:   pieces,
		// The store knows what it has.
		DisableInitialPieceCheck: true,
	})
	s.t.SetOnWriteChunkError(func(err error) { s.cfg.Log.Error("write block", "err", err) })
	s.t.DownloadAll()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.cfg.SlowStart {
		s.wg.Go(func() { s.ramp(ctx) })
	}
	return nil
}

// Port is the TCP port that peers can reach.
func (s *Swarm) Port() int { return s.client.LocalPort() }

// PeerID is how this swarm introduces itself to trackers and peers.
func (s *Swarm) PeerID() [20]byte { return s.client.PeerID() }

// AddPeers tells of peers to connect to. Those already known are ignored.
func (s *Swarm) AddPeers(addrs []netip.AddrPort) {
	infos := make([]torrent.PeerInfo, 0, len(addrs))
	for _, a := range addrs {
		infos = append(infos, torrent.PeerInfo{Addr: net.TCPAddrFromAddrPort(a), Source: torrent.PeerSourceTracker})
	}
	s.t.AddPeers(infos)
}

// Wait returns when the store has every piece, the store has failed, or ctx is done. Cancelled is
// not finished: only nil means complete.
func (s *Swarm) Wait(ctx context.Context) error {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if s.store.Complete() {
			tick.Stop()
			return s.store.Err()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.store.Failed():
			return s.store.Err()
		case <-tick.C:
		}
	}
}

// Stats reads the counters.
func (s *Swarm) Stats() Stats {
	ts := s.t.Stats()
	st := Stats{
		Down:  ts.BytesReadUsefulData.Int64(),
		Up:    ts.BytesWrittenData.Int64(),
		Peers: ts.ActivePeers,
	}
	st.CompletePeers = ts.ConnectedSeeders
	return st
}

// CompletePeers lists the connected peers that have every piece, by peer id.
func (s *Swarm) CompletePeers() [][20]byte {
	var ids [][20]byte
	for _, c := range s.t.PeerConns() {
		if c.PeerPieces().GetCardinality() == uint64(len(s.torrent.Pieces)) {
			ids = append(ids, c.PeerID)
		}
	}
	return ids
}

// Close leaves the swarm and returns when nothing of it is running.
func (s *Swarm) Close() error {
	if s.client == nil {
		return nil
	}
	s.stop()
	s.wg.Wait()
	return errors.Join(s.client.Close()...)
}

// Slow start, as EZIO's --slow-start has it: a school's switch is not hit by everything at once.
const (
	slowStep   = 10_000_000 // bytes a second
	slowPeriod = 10 * time.Second
	slowSteps  = 10
)

func (s *Swarm) ramp(ctx context.Context) {
	final := s.finalRate()
	for step := 1; step <= slowSteps; step++ {
		if limit := rate.Limit(step * slowStep); limit < final {
			s.limiter.SetLimit(limit)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(slowPeriod):
		}
	}
	s.limiter.SetLimit(final)
}

func (s *Swarm) finalRate() rate.Limit {
	if s.cfg.UploadLimit > 0 {
		return rate.Limit(s.cfg.UploadLimit)
	}
	return rate.Inf
}

func splitListen(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", p)
	}
	return host, port, nil
}
