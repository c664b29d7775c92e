// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ezio/lib/picker"
	"ezio/lib/piece"
	"ezio/lib/wire"
)

const (
	// maxBlock is the largest block, in bytes, that we send and ask for among our own kind. It is
	// a compromise: per-block costs vanish in it, and what must not wait behind it does not wait
	// long.
	maxBlock = 256 << 10

	handshakeTimeout = 5 * time.Second
	idleTimeout      = 150 * time.Second // BEP 3: peers send something every two minutes
	keepAliveEvery   = 60 * time.Second
	unackedTimeout   = 15 * time.Second // then a peer whose cable was pulled is gone
	notSentLow       = 128 << 10        // bytes in the kernel before the link
	maxControl       = 4 << 20          // bytes of messages for a peer that does not read
	maxUnasked       = 64 << 20         // bytes of blocks nobody asked for
)

// A conn is one peer's connection. Its reader and writer are goroutines; the loop talks to the
// writer through the outbox.
type conn struct {
	s        *Swarm
	id       picker.ID
	nc       net.Conn
	addr     netip.AddrPort // the far end of the connection
	outgoing bool
	peerID   [20]byte
	fast     bool // both sides speak BEP 6
	extended bool // both sides speak BEP 10

	mu      sync.Mutex
	control []byte             // messages to send
	blocks  []wire.Block       // blocks to send after them
	asked   map[wire.Block]int // what we asked for and did not get yet
	wake    chan struct{}

	// The loop's own notes.
	interested bool
	listen     netip.AddrPort // where it can be dialed, once known
	ext        wire.Extensions
	pexSent    map[netip.AddrPort]bool
	pexAt      time.Time
}

func (s *Swarm) newConn(nc net.Conn, outgoing bool, hs wire.Handshake) *conn {
	addr, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	return &conn{
		s:        s,
		nc:       nc,
		addr:     netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()),
		outgoing: outgoing,
		peerID:   hs.PeerID,
		fast:     hs.Fast(),
		extended: hs.Extended(),
		asked:    map[wire.Block]int{},
		wake:     make(chan struct{}, 1),
	}
}

// say queues messages. A peer that does not read them is cut off.
func (c *conn) say(build func([]byte) []byte) {
	c.mu.Lock()
	c.control = build(c.control)
	tooMuch := len(c.control) > maxControl
	c.mu.Unlock()
	if tooMuch {
		c.nc.Close()
	}
	c.nudge()
}

func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// ask queues a request and remembers it.
func (c *conn) ask(b wire.Block) {
	c.mu.Lock()
	c.asked[b]++
	c.control = wire.AppendRequest(c.control, b)
	c.mu.Unlock()
	c.nudge()
}

// unask queues a cancel. The block may come all the same.
func (c *conn) unask(b wire.Block) {
	c.mu.Lock()
	c.control = wire.AppendCancel(c.control, b)
	c.mu.Unlock()
	c.nudge()
}

// send queues a block.
func (c *conn) send(b wire.Block) {
	c.mu.Lock()
	c.blocks = append(c.blocks, b)
	c.mu.Unlock()
	c.nudge()
}

// unsend takes a queued block back and says whether it was still there.
func (c *conn) unsend(b wire.Block) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, x := range c.blocks {
		if x == b {
			c.blocks = append(c.blocks[:i], c.blocks[i+1:]...)
			return true
		}
	}
	return false
}

// wasAsked settles a request and says whether there was one.
func (c *conn) wasAsked(b wire.Block) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.asked[b]
	if n > 1 {
		c.asked[b] = n - 1
	} else {
		delete(c.asked, b)
	}
	return n > 0
}

// serve is the connection's life after the handshake. It returns when the connection is over.
func (c *conn) serve() {
	var writer sync.WaitGroup
	done := make(chan struct{})
	writer.Go(func() { c.write(done) })
	err := c.read()
	c.s.cfg.Log.Debug("peer left", "peer", c.addr, "err", err)
	c.nc.Close()
	close(done)
	writer.Wait()
	c.s.post(func() { c.s.loop.onLeave(c) })
}

func (c *conn) read() error {
	r := wire.NewReader(c.nc, wire.Limits{Pieces: len(c.s.torrent.Pieces), MaxBlock: maxBlock})
	unasked := 0
	for {
		if err := c.nc.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		m, err := r.Next()
		if err != nil {
			return err
		}
		if m.Type == wire.Piece {
			ok, err := c.readBlock(r, m.Block)
			if err != nil {
				return err
			}
			if !ok {
				if unasked += int(m.Block.Length); unasked > maxUnasked {
					return errors.New("it sends what nobody asked for")
				}
			}
			continue
		}
		if err := c.hear(m); err != nil {
			return err
		}
	}
}

// readBlock receives a block straight into its piece's buffer, or drops it.
func (c *conn) readBlock(r *wire.Reader, b wire.Block) (ok bool, err error) {
	if !c.wasAsked(b) {
		return false, r.Discard()
	}
	dst := c.s.mem.claim(b, c.addr.Addr())
	if dst == nil {
		if err := r.Discard(); err != nil {
			return false, err
		}
		c.s.post(func() { c.s.loop.onRejected(c, b) })
		return true, nil
	}
	if err := r.Payload(dst); err != nil {
		c.s.mem.unclaim(b)
		return false, err
	}
	c.s.down.Add(int64(b.Length))
	c.s.post(func() { c.s.loop.onBlock(c, b) })
	return true, nil
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
			return errors.New("its bitfield has spare bits")
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
		return errors.New("it asks for bytes beyond a piece")
	}
	return nil
}

func (c *conn) write(done <-chan struct{}) {
	keepAlive := time.NewTicker(keepAliveEvery)
	defer keepAlive.Stop()
	for {
		control, b, isBlock := c.next()
		var err error
		switch {
		case isBlock:
			err = c.writeBlock(control, b)
		case len(control) > 0:
			_, err = c.nc.Write(control)
		default:
			select {
			case <-done:
				return
			case <-c.wake:
			case <-keepAlive.C:
				c.say(wire.AppendKeepAlive)
			}
		}
		if err != nil {
			c.nc.Close() // the reader notices
			<-done
			return
		}
	}
}

// next is what to write now: all messages that wait, and one block.
func (c *conn) next() (control []byte, b wire.Block, isBlock bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	control, c.control = c.control, nil
	if len(c.blocks) > 0 {
		b, isBlock = c.blocks[0], true
		c.blocks = c.blocks[1:]
	}
	return control, b, isBlock
}

func (c *conn) writeBlock(control []byte, b wire.Block) error {
	if c.s.limiter.Limit() != rate.Inf {
		// Messages do not wait for the limit.
		if len(control) > 0 {
			if _, err := c.nc.Write(control); err != nil {
				return err
			}
			control = nil
		}
		if err := c.s.limiter.WaitN(c.s.ctx, int(b.Length)); err != nil {
			return err
		}
	}
	prefix := wire.AppendPieceHeader(control, b)
	off, _ := c.s.torrent.Layout.Span(int(b.Piece))
	var err error
	if f := c.s.store.File(); f != nil {
		_, err = wire.SendBlock(c.nc, prefix, c.s.ranges(f, off+int64(b.Begin), int64(b.Length)))
	} else {
		_, err = wire.SendBlockFrom(c.nc, prefix, imageReader{c.s}, off+int64(b.Begin), int64(b.Length))
	}
	if err == nil {
		c.s.up.Add(int64(b.Length))
		c.s.post(func() { c.s.loop.onSent(c, b) })
		return nil
	}
	var bad *wire.SourceError
	if errors.As(err, &bad) {
		c.s.post(func() { c.s.loop.onReadFailed(int(b.Piece), bad) })
	}
	return err
}

// imageReader is the store at image offsets, for what lies within one piece.
type imageReader struct{ s *Swarm }

func (r imageReader) ReadAt(p []byte, off int64) (int, error) {
	length := r.s.torrent.Layout.Length
	if err := r.s.store.ReadPiece(p, int(off/length), off%length); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ranges is where on the disk n bytes of image space from off lie.
func (s *Swarm) ranges(f *os.File, off, n int64) []wire.Range {
	var list []wire.Range
	for e := range s.torrent.Map.Slices(off, n) {
		list = append(list, wire.Range{File: f, Offset: e.Offset, Length: e.Length})
	}
	return list
}
