// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"ezio/lib/wire"
)

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
			err = c.writeControl(control)
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

func (c *conn) writeControl(control []byte) error {
	c.writing.Store(time.Now().UnixNano())
	defer c.writing.Store(0)
	_, err := c.nc.Write(control)
	return err
}

func (c *conn) writeBlock(control []byte, b wire.Block) error {
	if !c.s.throttle.free() {
		// Messages do not wait for the limit.
		if len(control) > 0 {
			if err := c.writeControl(control); err != nil {
				return err
			}
			control = nil
		}
		if err := c.s.throttle.wait(c.s.ctx, int(b.Length)); err != nil {
			return err
		}
	}
	n, err := c.sendBlock(wire.AppendPieceHeader(control, b), b)
	var bad *wire.SourceError
	again := errors.As(err, &bad) && c.s.readable(int(b.Piece))
	if again {
		c.s.careful.add(int(b.Piece))
	}
	if again && n == 0 {
		n, err = c.sendBlock(wire.AppendPieceHeader(control, b), b)
		again = false
	}
	if err == nil {
		c.s.up.Add(int64(b.Length))
		c.moved.Store(time.Now().UnixNano())
		c.pace.sent(c.nc, int64(b.Length), time.Now())
		c.s.post(func() { c.s.loop.onSent(c, b) })
		return nil
	}
	if again || !errors.As(err, &bad) {
		return err
	}
	c.s.post(func() { c.s.loop.onReadFailed(int(b.Piece), bad) })
	if n > 0 {
		return err // the peer waits for the rest of a block that will never come
	}
	c.s.post(func() { c.s.loop.onUnreadable(c, b) })
	return c.writeControl(control)
}

// readable says whether a piece can be read after all. The kernel reads and caches in large units, and
// a bad sector fails all that is read with it, which may belong to other pieces. Such pieces are read
// with care from then on (ReadPiece), not sent by the kernel.
func (s *Swarm) readable(i int) bool {
	_, n := s.torrent.Layout.Span(i)
	buf := make([]byte, min(n, maxBlock))
	for off := int64(0); off < n; off += int64(len(buf)) {
		if err := s.store.ReadPiece(buf[:min(int64(len(buf)), n-off)], i, off); err != nil {
			return false
		}
	}
	return true
}

// pieceSet is a set of pieces for several goroutines, mostly empty.
type pieceSet struct{ m sync.Map }

func (s *pieceSet) add(i int)      { s.m.Store(i, true) }
func (s *pieceSet) has(i int) bool { _, ok := s.m.Load(i); return ok }

func (c *conn) sendBlock(prefix []byte, b wire.Block) (int64, error) {
	c.writing.Store(time.Now().UnixNano())
	defer c.writing.Store(0)
	off, _ := c.s.torrent.Layout.Span(int(b.Piece))
	if f := c.s.store.File(int(b.Piece)); f != nil && !c.s.careful.has(int(b.Piece)) {
		return wire.SendBlock(c.nc, prefix, c.s.ranges(f, off+int64(b.Begin), int64(b.Length)))
	}
	return wire.SendBlockFrom(c.nc, prefix, imageReader{c.s}, off+int64(b.Begin), int64(b.Length))
}

// A pace is how fast a connection sends, and what the kernel may therefore hold of it unsent.
type pace struct {
	since   time.Time
	bytes   int64
	notSent int
}

const paceWindow = 100 * time.Millisecond

func (p *pace) sent(nc net.Conn, n int64, now time.Time) {
	p.bytes += n
	d := now.Sub(p.since)
	if d < paceWindow {
		return
	}
	want := wire.NotSentFor(float64(p.bytes) / d.Seconds())
	p.since, p.bytes = now, 0
	if want > p.notSent*5/4 || want < p.notSent*3/4 {
		if wire.SetNotSent(nc, want) == nil { // else it is slower, or gone, which the next write tells
			p.notSent = want
		}
	}
}

// stuck says whether the peer has taken nothing for too long of what is being written to it. Its
// kernel may be alive and say that there is no room.
func (c *conn) stuck(now time.Time) bool {
	began := c.writing.Load()
	if began == 0 || now.Sub(time.Unix(0, began)) < time.Second {
		c.movedAt = now
		return false
	}
	n, err := wire.Delivered(c.nc)
	if err != nil || n != c.delivered {
		c.delivered, c.movedAt = n, now
	}
	return now.Sub(c.movedAt) >= deadAfter
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
