// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"net/netip"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

// view is the two ends of the connection on which somebody asks.
type view struct {
	from  netip.Addr // the asker
	local netip.Addr // ours, as the asker knows it; may be invalid
	seed  uint16     // the port on which this program seeds; 0: it does not
}

// reply is what an announce is answered with, before it is encoded.
type reply struct {
	interval             time.Duration
	complete, incomplete int // the asker and this program included
	peers                []contact
	report               string // path for reports; empty: none
}

type contact struct {
	id   [20]byte // zero for this program itself
	addr netip.AddrPort
}

// pick counts the living and draws those to hand out: this program first, as the asker reaches
// it, then a random choice of the others, half of them of the asker's own network if there are so
// many: machines of a rack are to find each other, and not to be an island. Whoever has everything is
// given only those who miss something.
func (g *registry) pick(v view, q query) reply {
	var r reply
	self := netip.AddrPortFrom(v.from, q.port)
	given := map[netip.AddrPort]bool{self: true} // old entries may share an endpoint with a new one
	if v.seed != 0 {
		r.complete++
		home := netip.AddrPortFrom(v.local, v.seed)
		if v.local.IsValid() && q.left > 0 && q.numwant > 0 && q.event != shared.Stopped && !given[home] {
			r.peers = append(r.peers, contact{addr: home})
		}
		given[home] = true
	}
	pool := g.scratch[:0]
	for _, p := range g.peers {
		switch {
		case !p.Live:
			continue
		case p.Left == 0:
			r.complete++
		default:
			r.incomplete++
		}
		if p.ID != q.id && (q.left > 0 || p.Left > 0) {
			pool = append(pool, p)
		}
	}
	g.scratch = pool
	if q.event == shared.Stopped {
		return r
	}
	near := 0
	for i, p := range pool {
		if neighbours(v.from, p.Addr.Addr()) {
			pool[near], pool[i] = p, pool[near]
			near++
		}
	}
	draw := func(from []*peer, upTo int) (rest []*peer) {
		for len(from) > 0 && len(r.peers) < upTo {
			i, last := g.rand.IntN(len(from)), len(from)-1
			p := from[i]
			from[i], from = from[last], from[:last]
			if a, ok := v.sees(p.Addr); ok && !given[a] {
				given[a] = true
				r.peers = append(r.peers, contact{p.ID, a})
			}
		}
		return from
	}
	rest := draw(pool[:near], (q.numwant+1)/2)
	draw(append(rest, pool[near:]...), q.numwant)
	return r
}

// neighbours says whether two addresses look like one network's. Its size is not known here: an IPv4
// network of at least 256 addresses, or an IPv6 one, is guessed, and a wrong guess costs nothing.
func neighbours(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	return err == nil && p.Contains(b.WithZone(""))
}

// sees is the address at which the asker can reach a peer. One that announced over loopback runs
// on this very machine, so others reach it where they reach us; a link-local address means
// nothing beyond the link, and only whoever asks from a link-local address is known to be on one.
func (v view) sees(p netip.AddrPort) (netip.AddrPort, bool) {
	ip := p.Addr()
	switch {
	case ip.IsLoopback() && !v.from.IsLoopback():
		return netip.AddrPortFrom(v.local, p.Port()), v.local.IsValid()
	case ip.IsLinkLocalUnicast() && !v.from.IsLinkLocalUnicast():
		return p, false
	default:
		return p, true
	}
}
