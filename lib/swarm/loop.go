// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"math/rand/v2"
	"time"

	"ezio/lib/picker"
	"ezio/lib/piece"
	"ezio/lib/store"
	"ezio/lib/wire"
)

// A loop owns the swarm's state. Every method but newLoop and run is called by run's goroutine:
// the on… methods are events, posted by others.
type loop struct {
	s        *Swarm
	pick     *picker.Picker
	have     *piece.Bitfield
	seed     bool // it had everything when it began, and reveals it piece by piece
	conns    map[picker.ID]*conn
	next     picker.ID
	book     addressBook
	blame    blame
	segments segments // the networks that we are on
	doubt    doubt
}

func newLoop(s *Swarm) *loop {
	have := s.store.Have()
	return &loop{
		s:     s,
		have:  have,
		seed:  have.All(),
		conns: map[picker.ID]*conn{},
		book:  newAddressBook(),
		blame: newBlame(),
		doubt: newDoubt(),

		segments: localSegments(),
		pick: picker.New(picker.Config{
			Layout:  s.torrent.Layout,
			Have:    have,
			Unknown: s.cfg.Unknown,
			Budget:  s.mem.budget,
			Seed:    have.All(),
			Key:     key(s.id),
			Rand:    rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		}),
	}
}

// actEvery is the longest the picker is left alone; chores are what can wait a little longer.
const (
	actEvery   = 50 * time.Millisecond
	choreEvery = 250 * time.Millisecond
)

func (l *loop) run() {
	tick := time.NewTicker(actEvery)
	defer tick.Stop()
	var chores time.Time
	for {
		select {
		case <-l.s.ctx.Done():
			return
		case f := <-l.s.events:
			f()
			l.drain()
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(chores) >= choreEvery {
			chores = now
			l.dial(now)
			l.exchange(now)
			l.cut(now)
		}
		for _, a := range l.pick.Act(now) {
			l.do(a)
		}
	}
}

// drain handles what else is waiting, so that the picker decides once for many events.
func (l *loop) drain() {
	for range cap(l.s.events) {
		select {
		case f := <-l.s.events:
			f()
		default:
			return
		}
	}
}

func (l *loop) do(a picker.Action) {
	c := l.conns[a.Peer]
	if c == nil {
		return
	}
	switch a.Kind {
	case picker.Request:
		c.ask(a.Block)
	case picker.Cancel:
		c.unask(a.Block)
	case picker.Send:
		c.send(a.Block)
	case picker.Reveal:
		c.say(func(b []byte) []byte { return wire.AppendHave(b, a.Piece) })
	case picker.Offer:
		c.bargain(wire.Bargain{Kind: wire.Offer, Piece: a.Piece, Rate: a.Rate})
	case picker.Decline:
		c.bargain(wire.Bargain{Kind: wire.Decline, Piece: a.Piece})
	case picker.Full:
		c.bargain(wire.Bargain{Kind: wire.Full, Piece: a.Piece})
	case picker.Want:
		c.bargain(wire.Bargain{Kind: wire.Want, Piece: a.Piece})
	case picker.Unchoke:
		c.say(wire.AppendUnchoke)
	case picker.Choke:
		c.say(wire.AppendChoke)
	case picker.Reject:
		if c.fast { // else a choke drops all requests
			c.say(func(b []byte) []byte { return wire.AppendReject(b, a.Block) })
		}
	}
}

// bargain sends a word of what our own kind say about the next piece.
func (c *conn) bargain(m wire.Bargain) {
	c.say(func(b []byte) []byte { return wire.AppendBargain(b, c.ext.Offers, m) })
}

func (l *loop) onBargain(c *conn, m wire.Bargain) {
	now := time.Now()
	switch m.Kind {
	case wire.Offer:
		l.pick.Offered(c.id, m.Piece, m.Rate, now)
		l.maybeInterested(c)
	case wire.Decline:
		l.pick.Declined(c.id, m.Piece, now)
	case wire.Full:
		l.pick.Full(c.id, m.Piece, now)
	case wire.Want:
		l.pick.Wanted(c.id, m.Piece)
	}
}

// onJoin takes a connection into the swarm, or refuses it.
func (l *loop) onJoin(c *conn) {
	now := time.Now()
	if reason := l.refuse(c, now); reason != "" {
		l.s.cfg.Log.Debug("refused", "peer", c.addr, "reason", reason)
		c.nc.Close()
		return
	}
	l.next++
	c.id, c.joined = l.next, now
	l.conns[c.id] = c
	l.s.peers.Store(int64(len(l.conns)))
	l.pick.Join(c.id, picker.Traits{Vague: c.extended, Near: l.segments.near(c.addr.Addr()), Key: key(c.peerID)})
	if c.outgoing {
		c.listen = c.addr
	}
	l.book.connected(c)
	c.say(func(b []byte) []byte {
		b = l.appendState(b, c) // first, as BEP 6 has it
		if c.extended {
			b = wire.AppendExtensions(b, l.extensions())
		}
		return b
	})
}

// appendState is what we have, as the first message says it. A seed says that it has nothing: it
// reveals its pieces one by one.
func (l *loop) appendState(b []byte, c *conn) []byte {
	none := l.seed || l.have.Count() == 0
	switch {
	case none && c.fast:
		return wire.AppendHaveNone(b)
	case none:
		return b
	case l.have.All() && c.fast:
		return wire.AppendHaveAll(b)
	}
	return wire.AppendBitfield(b, l.have.Bytes())
}

func (l *loop) extensions() wire.Extensions {
	e := wire.Extensions{
		Port:         uint16(l.s.Port()),
		Client:       "EZIO",
		RequestQueue: 2000,
		MaxBlock:     maxBlock,
		DontHave:     localDontHave,
		Offers:       localOffers,
		// Not as BEP 21's upload_only: libtorrent takes leave at once of one that says that while it has
		// shown nothing yet.
		Shows: l.seed,
	}
	if !l.s.torrent.Private {
		e.PEX = localPEX
	}
	return e
}

func (l *loop) onLeave(c *conn, err error) {
	l.book.disconnected(c)
	l.onMisdeed(c, err, time.Now())
	l.forget(c)
}

// forget takes a connection out of the swarm.
func (l *loop) forget(c *conn) {
	if l.conns[c.id] != c {
		return
	}
	delete(l.conns, c.id)
	l.s.peers.Store(int64(len(l.conns)))
	l.pick.Leave(c.id)
}

func (l *loop) onHave(c *conn, i int) {
	delete(c.given, i)
	l.pick.PeerHas(c.id, i)
	l.maybeInterested(c)
}

func (l *loop) onBitfield(c *conn, b *piece.Bitfield) {
	l.pick.PeerBitfield(c.id, b)
	l.maybeInterested(c)
}

func (l *loop) maybeInterested(c *conn) {
	if !c.interested && l.conns[c.id] == c && l.pick.Interesting(c.id) {
		c.interested = true
		c.say(wire.AppendInterested)
	}
}

func (l *loop) onChoke(c *conn, choked bool) { l.pick.Choked(c.id, choked, c.fast) }

func (l *loop) onRequest(c *conn, b wire.Block) {
	if l.pick.Requested(c.id, b, time.Now()) {
		c.vain = max(0, c.vain-1)
		l.askedAgain(c, int(b.Piece), time.Now())
		return
	}
	if c.fast {
		c.say(func(p []byte) []byte { return wire.AppendReject(p, b) })
	}
	l.inVain(c)
}

// inVain counts requests that cannot be served, and cancels of what was not asked. Some may be late;
// who sends nothing else wants to keep us busy.
func (l *loop) inVain(c *conn) {
	if c.vain++; c.vain > maxVain && l.conns[c.id] == c {
		l.onMisdeed(c, misdeed("it asks for what it cannot have"), time.Now())
		l.drop(c)
	}
}

func (l *loop) onCancel(c *conn, b wire.Block) {
	switch {
	case l.pick.Cancelled(c.id, b):
	case c.unsend(b):
		l.pick.Dropped(c.id, b)
	default: // on its way
		l.inVain(c)
		return
	}
	if c.fast { // BEP 6: a cancel too is answered
		c.say(func(p []byte) []byte { return wire.AppendReject(p, b) })
	}
}

func (l *loop) onSent(c *conn, b wire.Block) {
	l.pick.Sent(c.id, b)
	if !l.pick.Has(c.id, int(b.Piece)) {
		c.given[int(b.Piece)] += int64(b.Length)
	}
}

func (l *loop) onRejected(c *conn, b wire.Block) { l.pick.Rejected(c.id, b) }

// onBlock hears of a block, or a part of one, that is in memory.
func (l *loop) onBlock(c *conn, p place) {
	i, now := int(p.b.Piece), time.Now()
	switch {
	case !l.s.mem.holds(p):
		l.pick.Rejected(c.id, p.b)
	case l.pick.Received(c.id, p.b, now):
		l.s.work.put(i, now)
	case !l.pick.Opened(i):
		l.s.mem.drop(i)
	}
}

// onPut hears what became of a whole piece.
func (l *loop) onPut(i int, v verdict, err error) {
	l.onVerdict(i, v, time.Now())
	switch {
	case err == nil:
		l.onPiece(i)
	case errors.Is(err, store.ErrHash):
		l.s.cfg.Log.Warn("piece does not match its hash", "piece", i, "from", v.from)
		l.pick.Failed(i)
	default:
		// The disk's failure: the store has told Wait.
		l.s.cfg.Log.Error("write", "piece", i, "err", err)
	}
}

// onFound hears what became of a piece of which nothing was known.
func (l *loop) onFound(i int, ok bool) {
	if ok {
		l.onPiece(i)
	} else {
		l.pick.Missing(i)
	}
}

func (l *loop) onPiece(i int) {
	l.have.Set(i)
	l.pick.Verified(i)
	for _, c := range l.conns {
		c.say(func(b []byte) []byte {
			b = wire.AppendHave(b, i)
			if l.have.All() && c.interested {
				b = wire.AppendNotInterested(b)
			}
			return b
		})
	}
	if l.have.All() {
		l.s.mem.empty()
		l.s.completed.Do(func() { close(l.s.complete) })
	}
}

// onUnreadable hears that a block cannot be sent, and that nothing of it was.
func (l *loop) onUnreadable(c *conn, b wire.Block) {
	l.pick.Dropped(c.id, b)
	if c.fast {
		c.say(func(p []byte) []byte { return wire.AppendReject(p, b) })
	}
}

// onReadFailed withdraws a piece that the disk cannot give: nobody is sent it any more.
func (l *loop) onReadFailed(i int, err error) {
	if !l.have.Has(i) {
		return
	}
	l.have.Clear(i)
	l.s.store.Withdraw(i)
	l.s.mem.lost(i)
	for _, a := range l.pick.Withdraw(i) {
		if c := l.conns[a.Peer]; c != nil && c.fast {
			c.say(func(p []byte) []byte { return wire.AppendReject(p, a.Block) })
		}
	}
	for _, c := range l.conns {
		if c.ext.DontHave != 0 {
			c.say(func(p []byte) []byte { return wire.AppendDontHave(p, c.ext.DontHave, i) })
		}
	}
	if l.s.cfg.ReadFailed != nil {
		l.s.cfg.ReadFailed(i, err)
	}
}

func (l *loop) completePeers() [][20]byte {
	var ids [][20]byte
	for id, c := range l.conns {
		if l.pick.Complete(id) {
			ids = append(ids, c.peerID)
		}
	}
	return ids
}

// traits is what the picker should know of a peer's extension handshake.
func traits(e wire.Extensions) picker.Traits {
	return picker.Traits{Block: min(e.MaxBlock, maxBlock), Queue: e.RequestQueue, Offers: e.Offers != 0, Shows: e.Offers != 0 && e.Shows}
}
