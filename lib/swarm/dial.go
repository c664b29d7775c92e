// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"ezio/lib/wire"
)

// sockets is every connection that is open, handshakes included, so that Close can end them.
type sockets struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func (k *sockets) init() { k.open = map[net.Conn]bool{} }

// add keeps a connection; false, and the connection closed, when the swarm has ended or has too
// many that have not shaken hands yet.
func (k *sockets) add(nc net.Conn, limit int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.open) >= limit {
		nc.Close()
		return false
	}
	k.open[nc] = true
	return true
}

func (k *sockets) remove(nc net.Conn) {
	k.mu.Lock()
	delete(k.open, nc)
	k.mu.Unlock()
	nc.Close()
}

func (k *sockets) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for nc := range k.open {
		nc.Close()
	}
}

func (s *Swarm) listen() error {
	addr := s.cfg.Listen
	if addr == "" {
		addr = ":0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	a := l.Addr().(*net.TCPAddr)
	s.port = a.Port
	s.utp = s.listenUTP(a)
	return nil
}

func (s *Swarm) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			// Out of descriptors, most likely: let some go first.
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if s.sockets.add(nc, 2*s.cfg.MaxPeers+64) {
			s.wg.Go(func() { s.meet(nc, false) })
		}
	}
}

// meet shakes hands and then is the connection.
func (s *Swarm) meet(nc net.Conn, outgoing bool) {
	defer s.sockets.remove(nc)
	hs, err := s.shake(nc, outgoing)
	if err != nil {
		s.cfg.Log.Debug("handshake", "peer", nc.RemoteAddr(), "err", err)
		return
	}
	c := s.newConn(nc, outgoing, hs)
	joined := make(chan struct{})
	s.post(func() { s.loop.onJoin(c); close(joined) })
	select {
	case <-joined: // its messages must not be heard before
	case <-s.ctx.Done():
		return
	}
	c.serve()
}

func (s *Swarm) shake(nc net.Conn, outgoing bool) (wire.Handshake, error) {
	if err := wire.SetLowDelay(nc, wire.TCPOptions{Dead: deadAfter}); err != nil {
		return wire.Handshake{}, err
	}
	if err := nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return wire.Handshake{}, err
	}
	ours := wire.NewHandshake(s.torrent.InfoHash, s.id)
	if outgoing {
		if err := wire.WriteHandshake(nc, ours); err != nil {
			return wire.Handshake{}, err
		}
	}
	hs, err := wire.ReadHandshake(nc)
	if err != nil {
		return hs, err
	}
	if hs.InfoHash != s.torrent.InfoHash {
		return hs, errOtherTorrent
	}
	if !outgoing {
		if err := wire.WriteHandshake(nc, ours); err != nil {
			return hs, err
		}
	}
	return hs, nc.SetDeadline(time.Time{})
}

// cut ends connections whose peers take nothing.
func (l *loop) cut(now time.Time) {
	for _, c := range l.conns {
		if c.stuck(now) {
			l.s.cfg.Log.Debug("cut off: it takes nothing", "peer", c.addr)
			c.nc.Close()
		}
	}
}

// dial connects to known addresses, a few at a time.
func (l *loop) dial(now time.Time) {
	if len(l.conns) >= l.s.cfg.MaxPeers {
		return
	}
	for _, addr := range l.book.due(now, l.s.cfg.MaxPeers-len(l.conns)) {
		if l.blame.banned(addr.Addr()) {
			continue
		}
		l.book.dialing(addr, now)
		l.s.wg.Go(func() { l.s.connect(addr) })
	}
}

func (s *Swarm) connect(addr netip.AddrPort) {
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr.String())
	if err == nil && s.sockets.add(nc, 2*s.cfg.MaxPeers+64) {
		s.meet(nc, true)
	}
	s.post(func() { s.loop.book.dialed(addr) })
}
