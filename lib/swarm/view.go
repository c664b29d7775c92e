// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net/netip"
)

// A PeerView is what is known of one connected peer.
type PeerView struct {
	ID     [20]byte
	Addr   netip.AddrPort // where it can be reached, where that is known; else the far end of the connection
	Pieces int            // that it has
	Sent   int64          // bytes of pieces' data that it was sent
}

// A View is the swarm as this member sees it at one moment.
type View struct {
	Peers        []PeerView
	Availability []int // how many of Peers have each piece
}

// View looks around. It is empty once the swarm is closed.
func (s *Swarm) View() View {
	answer := make(chan View, 1)
	s.post(func() { answer <- s.loop.view() })
	select {
	case v := <-answer:
		return v
	case <-s.ctx.Done():
		return View{}
	}
}

func (l *loop) view() View {
	v := View{Peers: make([]PeerView, 0, len(l.conns)), Availability: make([]int, l.have.Len())}
	for id, c := range l.conns {
		p := PeerView{ID: c.peerID, Addr: c.addr, Pieces: l.pick.Pieces(id), Sent: l.pick.SentTo(id)}
		if c.listen.IsValid() {
			p.Addr = c.listen
		}
		v.Peers = append(v.Peers, p)
	}
	for i := range v.Availability {
		v.Availability[i] = l.pick.Availability(i)
	}
	return v
}
