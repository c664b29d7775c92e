// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ezio/lib/picker"
	"ezio/lib/wire"
)

const (
	// maxBlock is the largest block, in bytes, that we send and ask for among our own kind. It is
	// a compromise: per-block costs vanish in it, and what must not wait behind it does not wait
	// long, since lib/picker asks for it only where it comes within milliseconds.
	maxBlock = 1 << 20

	handshakeTimeout = 5 * time.Second
	firstTimeout     = 30 * time.Second  // for the first message
	idleTimeout      = 150 * time.Second // BEP 3: peers send something every two minutes
	keepAliveEvery   = 60 * time.Second
	maxControl       = 256 << 10 // bytes of messages, besides those of all pieces, for a peer that does not read
	maxUnasked       = 2 << 20   // bytes of blocks nobody asked for
	maxVain          = 4096      // requests that were refused, beyond those that were not: twice what we say we queue

	// A peer that its kernel does not answer for (its cable was pulled, its power cut), or that
	// takes nothing of what it is sent, is gone after this. It comes back as a new connection.
	deadAfter = 3 * time.Second
	// A peer that stopped in the middle of a block, or takes far too long over it, keeps others from
	// bringing it: one that does bring it ends that.
	stalledAfter = 2 * time.Second
	blockTime    = 10 * time.Second
)

// haveBytes is the length of a have message.
const haveBytes = 9

// A conn is one peer's connection. Its reader and writer are goroutines; the loop talks to the
// writer through the outbox.
type conn struct {
	s        *Swarm
	id       picker.ID
	nc       net.Conn
	addr     netip.AddrPort // the far end of the connection
	who      netip.AddrPort // whom it stands for
	outgoing bool
	peerID   [20]byte
	fast     bool // both sides speak BEP 6
	extended bool // both sides speak BEP 10

	mu      sync.Mutex
	control []byte             // messages to send
	blocks  []wire.Block       // blocks to send after them
	asked   map[wire.Block]int // what we asked for and did not get yet
	wake    chan struct{}

	heard   atomic.Int64 // when bytes last came, in Unix nanoseconds
	claimed atomic.Int64 // when the block began that is arriving, likewise
	brought atomic.Int64 // bytes of blocks that came
	moved   atomic.Int64 // when a block last came, or went to the kernel, likewise; 0: never
	writing atomic.Int64 // when the write under way began, likewise; 0 when none is
	pace    pace         // the writer's
	low     lowWater     // the reader's

	// The loop's own notes.
	joined     time.Time
	interested bool
	vain       int            // requests refused, beyond those taken
	listen     netip.AddrPort // where it can be dialed, once known
	ext        wire.Extensions
	pexSent    map[netip.AddrPort]bool
	given      map[int]int64 // bytes sent of pieces that it has not announced
	pexAt      time.Time
	delivered  uint64 // what a stuck write has brought across
	movedAt    time.Time
}

func (s *Swarm) newConn(nc net.Conn, outgoing bool, hs wire.Handshake) *conn {
	return &conn{
		s:        s,
		nc:       nc,
		addr:     remote(nc),
		who:      identity(remote(nc)),
		outgoing: outgoing,
		peerID:   hs.PeerID,
		fast:     hs.Fast(),
		extended: hs.Extended(),
		asked:    map[wire.Block]int{},
		given:    map[int]int64{},
		wake:     make(chan struct{}, 1),
	}
}

// say queues messages. A peer that does not read them is cut off.
func (c *conn) say(build func([]byte) []byte) {
	c.mu.Lock()
	c.control = build(c.control)
	tooMuch := len(c.control) > maxControl+haveBytes*len(c.s.torrent.Pieces)
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
	c.s.cfg.Log.Info("peer left", "peer", c.addr, "reason", err)
	c.nc.Close()
	close(done)
	writer.Wait()
	c.s.post(func() { c.s.loop.onLeave(c, err) })
}
