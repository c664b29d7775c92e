// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"ezio/lib/wire"
)

var errOtherTorrent = errors.New("it is about another torrent")

// addressBook is every peer address heard of, and when to try it next.
type addressBook struct {
	entries map[netip.AddrPort]*address
	order   []netip.AddrPort // in the order heard of
	busy    int              // dials under way that are no connections yet
}

type address struct {
	dialing  bool // a dial, or the connection it became, is under way
	busy     bool // counted in the book's busy
	incoming int  // connections that came from there
	tries    int
	next     time.Time
	self     bool
}

const (
	maxBook    = 4096
	maxDialing = 32
	firstRetry = time.Second
	lastRetry  = 5 * time.Second // a machine that was plugged in again is not kept waiting
)

func newAddressBook() addressBook {
	return addressBook{entries: map[netip.AddrPort]*address{}}
}

func (b *addressBook) add(a netip.AddrPort) *address {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	e := b.entries[a]
	if e == nil && len(b.entries) < maxBook && a.Port() != 0 && a.Addr().IsValid() && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast() {
		e = &address{}
		b.entries[a] = e
		b.order = append(b.order, a)
	}
	return e
}

// learn hears of addresses. One that a tracker names again is worth another try now: its machine
// has just announced itself.
func (l *loop) learn(list []netip.AddrPort) {
	for _, a := range list {
		if e := l.book.add(a); e != nil {
			e.next = time.Time{}
		}
	}
}

// due lists addresses to dial now, at most n: those that have waited longest first, so that many
// dead ones do not keep it from the others. Those that not says yes to are left out.
func (b *addressBook) due(now time.Time, n int, not func(netip.AddrPort) bool) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range b.order {
		if e := b.entries[a]; !e.dialing && e.incoming == 0 && !e.self && !now.Before(e.next) && !not(a) {
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(x, y netip.AddrPort) int {
		return b.entries[x].next.Compare(b.entries[y].next)
	})
	return list[:max(0, min(len(list), n, maxDialing-b.busy))]
}

func (b *addressBook) dialing(a netip.AddrPort, now time.Time) {
	e := b.entries[a]
	e.next = now.Add(min(lastRetry, firstRetry<<min(e.tries, 10)))
	e.tries++
	e.dialing, e.busy = true, true
	b.busy++
}

// settle ends the time in which a dial counts as busy.
func (b *addressBook) settle(e *address) {
	if e.busy {
		e.busy = false
		b.busy--
	}
}

// dialed says that a dial, and the connection it may have become, is over.
func (b *addressBook) dialed(a netip.AddrPort) {
	if e := b.entries[a]; e != nil {
		e.dialing = false
		b.settle(e)
	}
}

// connected notes a connection: an address that works is tried again soon when it is lost.
func (b *addressBook) connected(c *conn) {
	if !c.listen.IsValid() {
		return
	}
	e := b.add(c.listen)
	switch {
	case e == nil:
	case c.outgoing:
		e.tries = 0
		b.settle(e)
	default:
		e.incoming++
	}
}

// sameAs hears that dialing an address led to a peer that is connected as old: it need not be
// dialed while that lasts.
func (b *addressBook) sameAs(old, c *conn) {
	if c.outgoing && !old.listen.IsValid() {
		old.listen = c.addr
		b.connected(old)
	}
}

func (b *addressBook) disconnected(c *conn) {
	if e := b.entries[c.listen]; e != nil && !c.outgoing && e.incoming > 0 {
		e.incoming--
	}
}

// forget marks an address as our own.
func (b *addressBook) forget(c *conn) {
	if e := b.entries[c.addr]; e != nil && c.outgoing {
		e.self = true
	}
}

// The numbers that we gave to the messages of the extension protocol (BEP 10) that we take.
const (
	localPEX      = 1 // BEP 11
	localDontHave = 2 // BEP 54
	localOffers   = 3 // our own
)

// Peer exchange (BEP 11): receivers that know different parts of a swarm get to know the rest, and
// keep doing so when the tracker is gone.
const (
	firstPEX     = time.Second
	pexEvery     = 60 * time.Second
	pexAtATime   = 50
	pexFromAPeer = 200
)

func (l *loop) onExtended(c *conn, id byte, payload []byte) {
	switch id {
	case 0:
		if err := c.ext.Update(payload); err != nil {
			c.nc.Close()
			return
		}
		l.pick.Traits(c.id, traits(c.ext))
		if !c.outgoing && c.ext.Port != 0 && !c.listen.IsValid() {
			c.listen = netip.AddrPortFrom(c.addr.Addr(), c.ext.Port)
			l.book.connected(c)
			if l.blame.banned(identity(c.listen), time.Now()) {
				c.nc.Close()
			}
		}
	case localPEX:
		if l.s.torrent.Private {
			return // BEP 27
		}
		added, _, err := wire.ParsePEX(payload)
		if err != nil {
			c.nc.Close()
			return
		}
		for _, a := range added[:min(len(added), pexFromAPeer)] {
			l.book.add(a)
		}
	case localDontHave:
		i, err := wire.ParseDontHave(payload, len(l.s.torrent.Pieces))
		if err != nil {
			c.nc.Close()
			return
		}
		l.pick.PeerLost(c.id, i)
	case localOffers:
		m, err := wire.ParseBargain(payload, len(l.s.torrent.Pieces))
		if err != nil {
			c.nc.Close()
			return
		}
		l.onBargain(c, m)
	}
}

// exchange tells peers of the others, now and then.
func (l *loop) exchange(now time.Time) {
	if l.s.torrent.Private {
		return
	}
	for _, c := range l.conns {
		if c.ext.PEX == 0 {
			continue
		}
		if c.pexAt.IsZero() {
			c.pexAt = now.Add(firstPEX)
		}
		if now.Before(c.pexAt) {
			continue
		}
		c.pexAt = now.Add(pexEvery)
		if added := l.news(c); len(added) > 0 {
			c.say(func(b []byte) []byte { return wire.AppendPEX(b, c.ext.PEX, added, nil) })
		}
	}
}

// news is the peers c was not told of yet.
func (l *loop) news(c *conn) []netip.AddrPort {
	if c.pexSent == nil {
		c.pexSent = map[netip.AddrPort]bool{}
	}
	var added []netip.AddrPort
	for _, o := range l.conns {
		if o == c || !o.listen.IsValid() || o.listen == c.listen || c.pexSent[o.listen] || len(added) >= pexAtATime {
			continue
		}
		c.pexSent[o.listen] = true
		added = append(added, o.listen)
	}
	return added
}
