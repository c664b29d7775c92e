// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"ezio/lib/wire"
)

var errUnknownTorrent = errors.New("it wants a torrent that is not here")

// ErrSameTorrent is why Start fails for a second swarm of a torrent on one Port.
var ErrSameTorrent = errors.New("this torrent is on the port already")

// Connections whose handshake is not finished cost a descriptor and a goroutine each and come from
// anybody. An honest one is over in a round trip.
const (
	maxShaking     = 256
	maxShakingFrom = 32 // one address
)

// A Port is the TCP port that peers connect to, for one torrent or several: it hears the handshake
// of each connection that comes in, and hands it to the swarm of the torrent that the handshake
// names. A connection that names another, or nothing in time, is closed.
//
// Invariant: after a swarm was detached it gets no more connections.
type Port struct {
	log      *slog.Logger
	listener net.Listener
	utp      net.PacketConn // nil when there is none
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	swarms  map[[20]byte]*Swarm // by infohash
	shaking map[net.Conn]netip.Addr
	from    map[netip.Addr]int // how many of those come from an address
}

// Listen opens a port at addr, HOST:PORT; "" and ":0" are any free port. A nil log is none.
func Listen(addr string, log *slog.Logger) (*Port, error) {
	if addr == "" {
		addr = ":0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = syscall.EADDRINUSE
		}
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return NewPort(l, log), nil
}

// NewPort hears peers at a TCP listener, which it closes at its end. A nil log is none.
func NewPort(l net.Listener, log *slog.Logger) *Port {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Port{
		log:      log,
		listener: l,
		swarms:   map[[20]byte]*Swarm{},
		shaking:  map[net.Conn]netip.Addr{},
		from:     map[netip.Addr]int{},
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.utp = p.listenUTP(l.Addr().(*net.TCPAddr))
	p.wg.Go(p.accept)
	if p.utp != nil {
		p.wg.Go(p.refuseUTP)
	}
	return p
}

// Number is the TCP port's number.
func (p *Port) Number() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Close stops listening. Swarms that are still attached keep the connections they have.
func (p *Port) Close() error {
	p.stop()
	err := p.listener.Close()
	if p.utp != nil {
		p.utp.Close()
	}
	p.mu.Lock()
	for nc := range p.shaking {
		nc.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

// attach lets s have the connections that are about its torrent.
func (p *Port) attach(s *Swarm) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swarms[s.torrent.InfoHash] != nil {
		return ErrSameTorrent
	}
	p.swarms[s.torrent.InfoHash] = s
	return nil
}

func (p *Port) detach(s *Swarm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swarms[s.torrent.InfoHash] == s {
		delete(p.swarms, s.torrent.InfoHash)
	}
}

func (p *Port) accept() {
	for {
		nc, err := p.listener.Accept()
		if err == nil {
			if p.admit(nc) {
				p.wg.Go(func() { p.receive(nc) })
			}
			continue
		}
		// Out of descriptors, most likely: let some go first.
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// admit takes a connection in for its handshake; false, and the connection closed, when there are
// too many of that kind.
func (p *Port) admit(nc net.Conn) bool {
	from := remote(nc).Addr()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || len(p.shaking) >= maxShaking || p.from[from] >= maxShakingFrom {
		nc.Close()
		return false
	}
	p.shaking[nc] = from
	p.from[from]++
	return true
}

// receive hears a handshake and passes the connection on.
func (p *Port) receive(nc net.Conn) {
	hs, err := p.hear(nc)
	p.release(nc)
	if err == nil {
		err = p.pass(nc, hs)
	}
	if err != nil {
		nc.Close()
		p.log.Debug("handshake", "peer", nc.RemoteAddr(), "err", err)
	}
}

// release gives back the place that admit gave.
func (p *Port) release(nc net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.shaking[nc]
	delete(p.shaking, nc)
	if p.from[from]--; p.from[from] == 0 {
		delete(p.from, from)
	}
}

// hear reads the other side's handshake. The deadline stays for our answer.
func (p *Port) hear(nc net.Conn) (wire.Handshake, error) {
	if err := prepare(nc); err != nil {
		return wire.Handshake{}, err
	}
	return wire.ReadHandshake(nc)
}

// pass gives a connection to the swarm that it is for.
func (p *Port) pass(nc net.Conn, hs wire.Handshake) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.swarms[hs.InfoHash]
	if s == nil {
		return errUnknownTorrent
	}
	// While it is attached it is running, so that its Close waits for what is begun here.
	s.wg.Go(func() { s.meet(nc, &hs) })
	return nil
}

// prepare sets a new connection's options, and the time that its handshake may take.
func prepare(nc net.Conn) error {
	if err := wire.SetLowDelay(nc, wire.TCPOptions{Dead: deadAfter}); err != nil {
		return err
	}
	return nc.SetDeadline(time.Now().Add(handshakeTimeout))
}

// remote is the address of a connection's far end.
func remote(nc net.Conn) netip.AddrPort {
	a, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
