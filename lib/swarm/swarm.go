// SPDX-License-Identifier: GPL-2.0-or-later

// Package swarm is one torrent's life on the network: it serves the pieces a store has and fetches
// those it lacks.
//
// The seam is narrow: a torrent, a store, peers' addresses in; pieces put into the store and
// counters out. Who finds the peers (trackers, the command line) is none of its business.
//
// Inside, one goroutine owns the state (loop.go): it hears of everything as events and asks
// lib/picker what to do. Bulk data never passes through it. Each connection has a goroutine that
// reads blocks straight into piece buffers (memory.go) and one that sends blocks straight from the
// disk (conn.go); bounded pools verify and write whole pieces (writers.go).
//
// Invariants: a piece is announced only after the store has verified and written it; what peers can
// make us hold is bounded by the budget of piece buffers and by per-connection limits; when Close
// returns, no goroutine of the swarm is left.
package swarm

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ezio/lib/limits"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/lib/store"
)

// A Store is where the pieces are: *store.Store.
type Store interface {
	Have() *piece.Bitfield // a copy
	Complete() bool
	// ReadPiece fills p from off bytes into a piece that is present.
	ReadPiece(p []byte, piece int, off int64) error
	// Check compares a piece that is present with its hash: nil if it is right.
	Check(piece int) error
	// Verify tells which pieces have the right data. store.ErrHash is the peers' fault, any other
	// error ours.
	Verify(pieces []int, data [][]byte) (right []store.Verified, errs []error)
	// Write writes a piece, which is present then.
	Write(store.Verified) error
	// Withdraw says that a present piece cannot be read.
	Withdraw(piece int)
	// File is the open disk when a piece's bytes lie at disk offsets in one file, else nil.
	File(piece int) *os.File
	// Failed is closed when the disk has failed; Err says how.
	Failed() <-chan struct{}
	Err() error
}

// Config says how to take part. The zero value listens on a port of the system's choosing.
type Config struct {
	Listen   string // host:port for peers; ":0" is any free port
	MaxPeers int    // connections; 0 means 128, or what the descriptors allow
	Memory   int64  // bytes for pieces that are being received; 0 means as many as are useful, see Buffers
	Log      *slog.Logger
	// Unknown are pieces that may be on the disk; Found says for each of them whether it is. Until then
	// nobody is asked for it. nil is none.
	Unknown *piece.Bitfield
	// Port, which other swarms may use as well, stands in for Listen; it stays open after Close.
	Port *Port
	// Throttle bounds what is uploaded, Download what is received, by this swarm and all others that
	// have the same; nil is no bound.
	Throttle, Download *Throttle
	// Dial connects to a peer; nil: as net.Dialer does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// PeerID is how to introduce ourselves; zero: NewPeerID.
	PeerID [20]byte
	// Banned hears of each peer (host:port) that is kept away for a while, and why.
	Banned func(peer, reason string)
	// ReadFailed hears of each piece that the disk could not give.
	ReadFailed func(piece int, err error)
}

// Stats are counters since the start, and the peers of this moment.
type Stats struct {
	Down, Up int64 // bytes of pieces' data
	Peers    int   // connections
}

// A Swarm is one torrent among its peers.
type Swarm struct {
	torrent  *metainfo.Torrent
	store    Store
	cfg      Config
	id       [20]byte
	port     *Port
	throttle *Throttle
	mem      *memory
	evidence *evidence
	work     *writers

	ctx       context.Context
	stop      context.CancelFunc
	wg        sync.WaitGroup
	events    chan func()
	complete  chan struct{} // closed when every piece is here
	completed sync.Once     // it may happen twice: a piece can be withdrawn
	sockets   sockets
	careful   pieceSet // what the kernel fails to send, though it can be read

	loop *loop // only the loop's goroutine looks into it

	down, up atomic.Int64
	peers    atomic.Int64
}

// New prepares a swarm; Start begins to listen.
func New(t *metainfo.Torrent, st Store, cfg Config) *Swarm {
	if cfg.MaxPeers == 0 {
		cfg.MaxPeers = maxPeers(limits.Files())
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Swarm{
		torrent:  t,
		store:    st,
		cfg:      cfg,
		id:       cfg.PeerID,
		events:   make(chan func(), 1024),
		complete: make(chan struct{}),
	}
	if s.id == [20]byte{} {
		s.id = NewPeerID()
	}
	s.throttle = cfg.Throttle
	s.mem = newMemory(t.Layout, budget(t.Layout.Length, cfg.Memory))
	s.evidence = newEvidence()
	s.work = newWriters(s)
	s.loop = newLoop(s)
	s.sockets.init()
	return s
}

// NewPeerID is a fresh peer id of our kind (BEP 20).
func NewPeerID() (id [20]byte) {
	copy(id[:], "-EZ0001-")
	rand.Read(id[8:])
	return id
}

// Start listens for peers and begins to serve and fetch.
func (s *Swarm) Start() error {
	if s.port = s.cfg.Port; s.port == nil {
		p, err := Listen(s.cfg.Listen, s.cfg.Log)
		if err != nil {
			return err
		}
		s.port = p
	}
	s.throttle.begin(time.Now())
	s.ctx, s.stop = context.WithCancel(context.Background())
	if s.store.Complete() {
		s.completed.Do(func() { close(s.complete) })
	}
	s.wg.Go(s.loop.run)
	s.work.start()
	if err := s.port.attach(s); err != nil {
		s.Close()
		return fmt.Errorf("%s: %w", s.torrent.Name, err)
	}
	return nil
}

// Port is the TCP port that peers can reach.
func (s *Swarm) Port() int { return s.port.Number() }

// PeerID is how this swarm introduces itself to trackers and peers.
func (s *Swarm) PeerID() [20]byte { return s.id }

// AddPeers tells of peers to connect to. Those already known are ignored.
func (s *Swarm) AddPeers(addrs []netip.AddrPort) {
	list := append([]netip.AddrPort(nil), addrs...)
	s.post(func() { s.loop.learn(list) })
}

// Found says that the store was found to have one of Config.Unknown, or not to have it.
func (s *Swarm) Found(piece int, ok bool) {
	s.post(func() { s.loop.onFound(piece, ok) })
}

// Wait returns when the store has every piece, the store has failed, or ctx is done. Cancelled is
// not finished: only nil means complete.
func (s *Swarm) Wait(ctx context.Context) error {
	select {
	case <-s.complete:
		return s.store.Err()
	case <-s.store.Failed():
		return s.store.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stats reads the counters.
func (s *Swarm) Stats() Stats {
	return Stats{Down: s.down.Load(), Up: s.up.Load(), Peers: int(s.peers.Load())}
}

// CompletePeers lists the connected peers that have every piece, by peer id.
func (s *Swarm) CompletePeers() [][20]byte {
	answer := make(chan [][20]byte, 1)
	s.post(func() { answer <- s.loop.completePeers() })
	select {
	case ids := <-answer:
		return ids
	case <-s.ctx.Done():
		return nil
	}
}

// Close leaves the swarm and returns when nothing of it is running.
func (s *Swarm) Close() error {
	if s.stop == nil {
		return nil
	}
	s.port.detach(s)
	if s.cfg.Port == nil {
		s.port.Close()
	}
	s.stop()
	s.sockets.closeAll()
	s.wg.Wait()
	return nil
}

// post hands an event to the loop. It waits while the loop is behind, which is the back pressure on
// whoever makes events, and gives up when the swarm closes.
func (s *Swarm) post(f func()) {
	select {
	case s.events <- f:
	case <-s.ctx.Done():
	}
}
