// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"time"

	"ezio/lib/wire"
)

// A link carries bytes one after the other, in the order in which they came to it. It never loses
// any: what may be in front of it is bounded by its flows' windows.
type link struct {
	rate float64       // bytes a second
	free time.Duration // when it has carried all that came so far
	sent int64
}

// pass takes n bytes at the time now and says when the last of them has left.
func (l *link) pass(now time.Duration, n int32) time.Duration {
	l.sent += int64(n)
	l.free = max(now, l.free) + time.Duration(float64(n)/l.rate*1e9)
	return l.free
}

// block keeps a link from carrying anything until a time.
func (l *link) block(until time.Duration) { l.free = max(l.free, until) }

// A flow is one direction of a connection: the blocks handed to it, one after the other, as chunks
// of which a window may be under way. So flows that meet at a link share it as their windows are, as
// TCP's do.
type flow struct {
	blocks []wire.Block // handed to it; the first may have begun
	left   int32        // bytes of the first that have not been sent
	begun  bool
	air    int
	window int
	path   []*link
	held   []event // words that wait for the end of the block
}

// start sends what the window allows.
func (r *run) start(c *conn) {
	f := &c.flow
	for f.air < f.window && len(f.blocks) > 0 && c.open {
		if !f.begun {
			f.begun, f.left = true, f.blocks[0].Length
			f.window = r.window(c)
		}
		b := f.blocks[0]
		n := min(f.left, r.cfg.Chunk)
		f.left -= n
		f.air++
		at := f.path[0].pass(r.now, n) + r.cfg.Latency
		e := event{kind: chunk, hop: 1, conn: c, bytes: n}
		if f.left == 0 {
			e.block = b
		}
		r.at(at, e)
		if f.left > 0 {
			continue
		}
		f.begun = false
		f.blocks = f.blocks[1:]
		c.node.sent += int64(b.Length)
		c.node.sched.Sent(c.id, b)
		c.node.soon()
		held := f.held
		f.held = nil
		for _, m := range held {
			r.word(c, m)
		}
	}
}

// pass carries a chunk over the next link of its way.
func (r *run) pass(e event) {
	f := &e.conn.flow
	at := f.path[e.hop].pass(r.now, e.bytes)
	if int(e.hop)+1 < len(f.path) {
		e.hop++
		r.at(at+r.cfg.Latency, e)
		return
	}
	if e.block.Length > 0 {
		r.at(at, event{kind: arrived, conn: e.conn.far, block: e.block})
	}
	r.at(at+r.cfg.Latency*time.Duration(len(f.path)-1), event{kind: acked, conn: e.conn})
}

// window is how many chunks a flow may have under way: what the path holds, and about as much again
// in the queues. That part is what differs between flows: alone, each fills its links.
func (r *run) window(c *conn) int {
	slowest := c.flow.path[0].rate
	for _, l := range c.flow.path {
		slowest = min(slowest, l.rate)
	}
	hops := float64(len(c.flow.path))
	round := 2 * (hops - 1) * r.cfg.Latency.Seconds()
	holds, queued := slowest*round/float64(r.cfg.Chunk)+hops, float64(16<<10)/float64(r.cfg.Chunk)
	if r.cfg.Unfair > 0 {
		queued = holds * r.unfair()
	}
	return int(holds + queued + 0.5)
}

// say sends a word to the other end. It waits for the end of a block that is being sent, and then
// in the same queues.
func (r *run) say(c *conn, e event) {
	if c.flow.begun {
		c.flow.held = append(c.flow.held, e)
		return
	}
	r.word(c, e)
}

func (r *run) word(c *conn, e event) {
	e.conn = c.far
	at := max(r.now, c.flow.path[0].free) + r.cfg.Latency
	for _, l := range c.flow.path[1 : len(c.flow.path)-1] {
		at = max(at, l.free) + r.cfg.Latency
	}
	r.at(max(at, c.flow.path[len(c.flow.path)-1].free), e)
}
