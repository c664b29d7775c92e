// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"net"
	"net/netip"
	"slices"
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

// meet takes a connection into the swarm, and then is it. hs is the handshake that began one that
// came in; nil says that we dialed.
func (s *Swarm) meet(nc net.Conn, hs *wire.Handshake) {
	if !s.sockets.add(nc, s.maxSockets()) {
		return
	}
	defer s.sockets.remove(nc)
	outgoing := hs == nil
	theirs, err := s.shake(nc, hs)
	if err != nil {
		s.cfg.Log.Debug("handshake", "peer", nc.RemoteAddr(), "err", err)
		return
	}
	s.cfg.Download.narrow(nc)
	c := s.newConn(nc, outgoing, theirs)
	joined := make(chan struct{})
	s.post(func() { s.loop.onJoin(c); close(joined) })
	select {
	case <-joined: // its messages must not be heard before
		s.cfg.Log.Info("peer joined", "peer", c.addr, "outgoing", outgoing)
	case <-s.ctx.Done():
		return
	}
	c.serve()
}

// shake sends our handshake, and returns the other side's.
func (s *Swarm) shake(nc net.Conn, theirs *wire.Handshake) (wire.Handshake, error) {
	if theirs == nil {
		if err := prepare(nc); err != nil {
			return wire.Handshake{}, err
		}
	}
	if err := wire.WriteHandshake(nc, wire.NewHandshake(s.torrent.InfoHash, s.id)); err != nil {
		return wire.Handshake{}, err
	}
	if theirs != nil {
		return *theirs, nc.SetDeadline(time.Time{})
	}
	hs, err := wire.ReadHandshake(nc)
	switch {
	case err != nil:
		return hs, err
	case hs.InfoHash != s.torrent.InfoHash:
		return hs, errOtherTorrent
	}
	return hs, nc.SetDeadline(time.Time{})
}

// cut ends connections whose peers take nothing.
func (l *loop) cut(now time.Time) {
	for _, c := range l.conns {
		if c.stuck(now) {
			l.s.cfg.Log.Debug("cut off: it takes nothing", "peer", c.addr)
			if c.delivered < littleUse && c.brought.Load() == 0 {
				l.onMisdeed(c, misdeed("it asks and takes nothing"), now)
			}
			l.drop(c)
		}
	}
}

// dial connects to known addresses, a few at a time.
func (l *loop) dial(now time.Time) {
	if len(l.conns) >= l.s.cfg.MaxPeers {
		return
	}
	near, far := 0, 0 // that we dialed
	for _, e := range l.book.order {
		switch {
		case !l.book.entries[e].dialing:
		case l.segments.near(e.Addr()):
			near++
		default:
			far++
		}
	}
	banned := func(a netip.AddrPort) bool { return l.blame.banned(identity(a), now) }
	for _, addr := range l.toDial(now, near, far, banned) {
		l.book.dialing(addr, now)
		l.s.wg.Go(func() { l.s.connect(addr) })
	}
}

// dialEnough is how many connections of its own making a machine has enough of. Everybody leaves the
// rest of his places to those who come later: would the first hundred fill all of theirs among
// themselves, nobody else could join them (tests/sim, TestNoIslands).
const dialEnough = 24

// toDial is whom to dial now, when so many were dialed already. Where some are on our own network
// segment and some are not, those who are come first, and more of them: what they have need not come
// over links that others share. They take no places from the others: each has to bring something in.
func (l *loop) toDial(now time.Time, near, far int, banned func(netip.AddrPort) bool) []netip.AddrPort {
	room := l.s.cfg.MaxPeers - len(l.conns)
	enough := min(dialEnough, l.s.cfg.MaxPeers)
	isFar := func(a netip.AddrPort) bool { return !l.segments.near(a.Addr()) }
	most := enough
	if slices.ContainsFunc(l.book.order, isFar) {
		most = max(enough, l.s.cfg.MaxPeers/2)
	}
	list := l.book.due(now, min(room, most-near), func(a netip.AddrPort) bool { return isFar(a) || banned(a) })
	others := l.book.due(now, min(room-len(list), enough-far), func(a netip.AddrPort) bool { return !isFar(a) || banned(a) })
	return append(list, others...)
}

func (s *Swarm) connect(addr netip.AddrPort) {
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	defer cancel()
	nc, err := s.cfg.Dial(ctx, "tcp", addr.String())
	if err == nil {
		s.meet(nc, nil)
	}
	s.post(func() { s.loop.book.dialed(addr) })
}
