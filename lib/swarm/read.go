// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"sync/atomic"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

func since(at *atomic.Int64) time.Duration { return time.Since(time.Unix(0, at.Load())) }

// A meter is a connection's stream from the peer, and notes when something comes.
type meter struct{ c *conn }

// boundedRead is how much is read at a time under a bound: little enough that every connection gets
// its turn, and its sender sees its bytes taken, long before it gives us up for dead.
const boundedRead = 16 << 10 // bytes

func (m meter) Read(p []byte) (int, error) {
	bound := m.c.s.cfg.Download
	if bound != nil && len(p) > boundedRead {
		p = p[:boundedRead]
	}
	if bound == nil {
		m.c.low.prepare(m.c.nc, len(p))
	}
	n, err := m.c.nc.Read(p)
	if n > 0 {
		now := time.Now()
		m.c.heard.Store(now.UnixNano())
		m.c.low.came(n, now)
		if bound != nil && !bound.free() {
			if late := bound.wait(m.c.s.ctx, n); err == nil {
				err = late
			}
		}
	}
	return n, err
}

func (c *conn) read() error {
	r := wire.NewReader(meter{c}, wire.Limits{Pieces: len(c.s.torrent.Pieces), MaxBlock: maxBlock})
	patience := firstTimeout
	unasked, talk := 0, newChatter(len(c.s.torrent.Pieces))
	for {
		if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		m, err := r.Next()
		if err != nil {
			return err
		}
		patience = idleTimeout
		if m.Type == wire.Piece {
			ok, err := c.readBlock(r, m.Block)
			if err != nil {
				return err
			}
			if !ok {
				if unasked += int(m.Block.Length); unasked > maxUnasked {
					return misdeed("it sends what nobody asked for")
				}
			}
			continue
		}
		if m.Type != wire.Request && m.Type != wire.Cancel && !talk.allow(time.Now()) {
			return misdeed("it sends messages without end")
		}
		if err := c.hear(m); err != nil {
			return err
		}
	}
}

// A chatter bounds the messages that have a right to come, but not without end: each is an event
// for the loop. Every piece may be announced twice at once, besides a few messages a second.
type chatter struct {
	most, left float64
	at         time.Time
}

const (
	chatterAtOnce = 10_000
	chatterASec   = 1_000
)

func newChatter(pieces int) *chatter {
	most := float64(2*pieces + chatterAtOnce)
	return &chatter{most: most, left: most, at: time.Now()}
}

func (k *chatter) allow(now time.Time) bool {
	k.left = min(k.most, k.left+chatterASec*now.Sub(k.at).Seconds()) - 1
	k.at = now
	return k.left >= 0
}

// readBlock receives a block straight into its piece's buffer, or drops it.
func (c *conn) readBlock(r *wire.Reader, b wire.Block) (ok bool, err error) {
	if !c.wasAsked(b) {
		return false, r.Discard()
	}
	p, no := c.s.mem.claim(b, c)
	if no != nil {
		return true, c.dropBlock(r, b, no)
	}
	c.claimed.Store(time.Now().UnixNano())
	if err := r.Payload(p.dst); err != nil {
		c.s.mem.broke(p)
		return false, err
	}
	c.s.mem.arrived(p)
	c.s.down.Add(int64(b.Length))
	c.brought.Add(int64(b.Length))
	c.moved.Store(time.Now().UnixNano())
	c.s.post(func() { c.s.loop.onBlock(c, p) })
	return true, nil
}

// dropBlock reads past a block that has no place. What of it is here already is news to the picker
// all the same: it would go on asking. If somebody else is in the middle of sending it and does not
// get on, that connection must not hold the place any longer.
func (c *conn) dropBlock(r *wire.Reader, b wire.Block, no *refusal) error {
	if err := r.Discard(); err != nil {
		return err
	}
	if h := no.holder; h != nil && (since(&h.heard) > stalledAfter || since(&h.claimed) > blockTime) {
		h.nc.Close()
	}
	c.s.post(func() {
		for _, p := range no.here {
			c.s.loop.onBlock(c, p)
		}
		c.s.loop.onRejected(c, b)
	})
	return nil
}

// hear passes a message on to the loop, with what it refers to copied.
func (c *conn) hear(m wire.Message) error {
	l := c.s.loop
	switch m.Type {
	case wire.KeepAlive, wire.Interested, wire.NotInterested, wire.Port, wire.Suggest, wire.AllowedFast:
	case wire.Choke:
		c.s.post(func() { l.onChoke(c, true) })
	case wire.Unchoke:
		c.s.post(func() { l.onChoke(c, false) })
	case wire.Have:
		c.s.post(func() { l.onHave(c, m.Piece) })
	case wire.Bitfield:
		b, ok := piece.FromBytes(m.Bits, len(c.s.torrent.Pieces))
		if !ok {
			return misdeed("its bitfield has spare bits")
		}
		c.s.post(func() { l.onBitfield(c, b) })
	case wire.HaveAll:
		b := piece.NewBitfield(len(c.s.torrent.Pieces))
		for i := range b.Len() {
			b.Set(i)
		}
		c.s.post(func() { l.onBitfield(c, b) })
	case wire.HaveNone:
	case wire.Request:
		if err := c.checkRequest(m.Block); err != nil {
			return err
		}
		c.s.post(func() { l.onRequest(c, m.Block) })
	case wire.Cancel:
		c.s.post(func() { l.onCancel(c, m.Block) })
	case wire.Reject:
		if c.wasAsked(m.Block) {
			c.s.post(func() { l.onRejected(c, m.Block) })
		}
	case wire.Extended:
		payload := append([]byte(nil), m.Payload...)
		c.s.post(func() { l.onExtended(c, m.ExtID, payload) })
	}
	return nil
}

// checkRequest ends the connection of a peer that asks for what cannot be.
func (c *conn) checkRequest(b wire.Block) error {
	_, n := c.s.torrent.Layout.Span(int(b.Piece))
	if b.Begin < 0 || b.Length <= 0 || int64(b.Begin)+int64(b.Length) > n {
		return misdeed("it asks for bytes beyond a piece")
	}
	return nil
}
