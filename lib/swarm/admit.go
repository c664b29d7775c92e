// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ezio/lib/limits"
	"ezio/lib/store"
	"ezio/lib/wire"
)

const (
	// defaultPeers bounds the connections. Receivers of a larger deployment each know a part of it.
	defaultPeers = 128
	leastPeers   = 8
	// otherFiles are the descriptors that are not connections to peers: the target, the tracker's
	// connections, the runtime's.
	otherFiles = 24

	// Of the places for connections one in so many is kept for those that we dial: whoever fills a
	// port with connections cannot keep us from the peers that we know.
	dialedShare = 8

	// A connection that has brought and taken nothing for so long, and waits for nothing from us,
	// makes place for another; one that never was of use, sooner.
	idleAfter    = 30 * time.Second
	uselessAfter = 2 * time.Second
	// Who has taken less than this, in bytes, and brought nothing, when it stops to take anything, was
	// of little use.
	littleUse = 1 << 20
	// From one address so many may be idle, and so many there may be at all: a router may stand between
	// us and a classroom.
	maxIdle    = 8
	maxFromOne = 32
)

// maxPeers is how many connections there may be, given how many descriptors.
func maxPeers(files int64) int {
	return int(min(defaultPeers, max(leastPeers, (files-otherFiles)/2)))
}

// maxSockets bounds connections and those that are being dialed or shake hands.
func (s *Swarm) maxSockets() int {
	return int(min(int64(2*s.cfg.MaxPeers+64), max(int64(s.cfg.MaxPeers), limits.Files()-otherFiles)))
}

// refuse says why a connection is not wanted: itself, a second one of the same peer, a banned
// address, too many.
func (l *loop) refuse(c *conn, now time.Time) string {
	if c.peerID == l.s.id {
		l.book.forget(c)
		return "it is ourselves"
	}
	if l.blame.banned(c.who, now) {
		return "banned"
	}
	for _, old := range l.conns {
		if old.peerID != c.peerID {
			continue
		}
		// Both sides dialed at the same time. Both keep the connection that the greater id made.
		if l.prefers(old) || !l.prefers(c) {
			l.book.sameAs(old, c)
			return "connected already"
		}
		old.nc.Close()
		return ""
	}
	if !l.makeRoom(c, now) {
		return "too many peers"
	}
	return ""
}

// prefers says whether a connection was made by the side with the greater peer id.
func (l *loop) prefers(c *conn) bool {
	oursGreater := string(l.s.id[:]) > string(c.peerID[:])
	return c.outgoing == oursGreater
}

// makeRoom says whether a newcomer has a place, and for that may end a connection of no use. Where
// there is a choice it is one of the address that has most such connections.
func (l *loop) makeRoom(c *conn, now time.Time) bool {
	idle, incoming, same := map[netip.AddrPort]int{}, 0, 0
	var list []*conn
	for _, o := range l.conns {
		if o.who == c.who {
			same++
		}
		if !o.outgoing {
			incoming++
		}
		if l.idle(o, now) > 0 {
			idle[o.who]++
			list = append(list, o)
		}
	}
	full := len(l.conns) >= l.s.cfg.MaxPeers || !c.outgoing && incoming >= l.s.cfg.MaxPeers-l.s.cfg.MaxPeers/dialedShare
	crowd := idle[c.who] >= maxIdle || same >= maxFromOne
	if !full && !crowd {
		return true
	}
	var victim *conn
	for _, o := range list {
		if crowd && o.who != c.who || !crowd && !c.outgoing && o.outgoing || l.idle(o, now) < grace(o) {
			continue
		}
		if victim == nil || idle[o.who] > idle[victim.who] ||
			idle[o.who] == idle[victim.who] && l.idle(o, now) > l.idle(victim, now) {
			victim = o
		}
	}
	if victim == nil {
		return false
	}
	l.s.cfg.Log.Debug("makes place for another", "peer", victim.addr)
	l.drop(victim)
	return true
}

// idle is for how long a connection has been of no use to either side, 0 if it waits for us.
func (l *loop) idle(c *conn, now time.Time) time.Duration {
	if l.pick.Waits(c.id) {
		return 0
	}
	if at := c.moved.Load(); at > 0 {
		return now.Sub(time.Unix(0, at))
	}
	return max(1, now.Sub(c.joined))
}

func grace(c *conn) time.Duration {
	if c.moved.Load() == 0 {
		return uselessAfter
	}
	return idleAfter
}

// drop ends a connection at once, as far as the loop is concerned.
func (l *loop) drop(c *conn) {
	c.nc.Close()
	l.forget(c)
}

// judge weighs what a whole piece says about those who sent it.
func (s *Swarm) judge(i int, data []byte, from contributors, err error) verdict {
	switch {
	case err == nil:
		return s.evidence.right(i, data, from)
	case errors.Is(err, store.ErrHash):
		return s.evidence.wrong(i, data, from)
	}
	return verdict{}
}

// onVerdict blames who sent wrong grains of a piece.
func (l *loop) onVerdict(i int, v verdict, now time.Time) {
	for _, s := range v.good {
		l.blame.good(s.who, s.right, now)
	}
	for _, s := range v.bad {
		if l.blame.bad(s.who, s.weight, s.again, now) {
			l.ban(s.who, fmt.Sprintf("it sent piece %d wrong", i), now)
		}
	}
}

// onMisdeed hears why a connection ended, if it was for what the peer did.
func (l *loop) onMisdeed(c *conn, err error, now time.Time) {
	var wrong *wire.ProtocolError
	var bad misdeed
	if !errors.As(err, &wrong) && !errors.As(err, &bad) {
		return
	}
	if !l.blame.banned(c.who, now) && l.blame.nuisance(c.who, now) {
		l.ban(c.who, err.Error(), now)
	}
}

// A misdeed ends a connection.
type misdeed string

func (m misdeed) Error() string { return string(m) }

// ban keeps a peer away for a while, with all its connections.
func (l *loop) ban(who netip.AddrPort, reason string, now time.Time) {
	d := l.blame.ban(who, now)
	reason = fmt.Sprintf("%s; kept away for %v", reason, d)
	told := false
	for _, c := range l.conns {
		if c.who != who {
			continue
		}
		if c.listen.IsValid() && identity(c.listen) != who { // on this machine, it comes back by another port
			l.blame.ban(identity(c.listen), now)
		}
		if l.s.cfg.Banned != nil && !told {
			l.s.cfg.Banned(c.addr.String(), reason)
		}
		told = true
		l.drop(c)
	}
	if l.s.cfg.Banned != nil && !told {
		l.s.cfg.Banned(who.String(), reason)
	}
}
