// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/lib/store"
	"ezio/lib/wire"
)

// A stranger is a peer that the test plays itself, message by message.
type stranger struct {
	t   *testing.T
	tor *metainfo.Torrent
	nc  net.Conn
	r   *wire.Reader
}

const strangerDontHave = 7 // the number it gave to that message

// visit has a stranger connect to s.
func visit(t *testing.T, tor *metainfo.Torrent, s *Swarm) *stranger {
	t.Helper()
	nc, err := net.Dial("tcp", addr(s).String())
	if err != nil {
		t.Fatal(err)
	}
	return greet(t, tor, nc)
}

// greet exchanges handshakes, BEP 3's and BEP 10's.
func greet(t *testing.T, tor *metainfo.Torrent, nc net.Conn) *stranger {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(120 * time.Second))
	id := [20]byte{'-', 'X', 'X'}
	if err := wire.WriteHandshake(nc, wire.NewHandshake(tor.InfoHash, id)); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.ReadHandshake(nc); err != nil {
		t.Fatal(err)
	}
	p := &stranger{t: t, tor: tor, nc: nc, r: wire.NewReader(nc, wire.Limits{Pieces: len(tor.Pieces), MaxBlock: maxBlock})}
	p.say(wire.AppendExtensions(nil, wire.Extensions{DontHave: strangerDontHave}))
	return p
}

func (p *stranger) say(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next is the next message that ok says yes to.
func (p *stranger) next(what string, ok func(wire.Message) bool) wire.Message {
	p.t.Helper()
	for {
		m, err := p.r.Next()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok(m) {
			return m
		}
	}
}

func is(ty wire.Type) func(wire.Message) bool {
	return func(m wire.Message) bool { return m.Type == ty }
}

// blocks are all blocks of a piece.
func (p *stranger) blocks(i int) []wire.Block {
	var list []wire.Block
	_, n := p.tor.Layout.Span(i)
	for at := int64(0); at < n; at += wire.BlockLength {
		list = append(list, wire.Block{Piece: int32(i), Begin: int32(at), Length: int32(min(n-at, wire.BlockLength))})
	}
	return list
}

// askForEverything requests what is revealed until n blocks are asked for.
func (p *stranger) askForEverything(n int) {
	p.t.Helper()
	p.say(wire.AppendInterested(nil))
	for n > 0 {
		m := p.next("a piece to ask for", is(wire.Have))
		for _, b := range p.blocks(m.Piece) {
			p.say(wire.AppendRequest(nil, b))
			n--
		}
	}
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// A peer that asks and never reads: its kernel acknowledges every probe, with no room.
func TestPeerThatTakesNothingIsCutOff(t *testing.T) {
	t.Parallel()
	tor, disk := image(t, 64, 256<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	p := visit(t, tor, seed)
	p.nc.(*net.TCPConn).SetReadBuffer(8 << 10)
	p.askForEverything(512)
	if seed.Stats().Peers != 1 {
		t.Fatal("it is not among the peers")
	}
	eventually(t, deadAfter+30*time.Second, "the peer is gone", func() bool { return seed.Stats().Peers == 0 })
}

// One that reads 10 Mbit/s is only slow.
func TestSlowPeerKeepsItsConnection(t *testing.T) {
	t.Parallel()
	tor, disk := image(t, 64, 256<<10)
	for {
		seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
		p := visit(t, tor, seed)
		p.nc.(*net.TCPConn).SetReadBuffer(8 << 10)
		p.askForEverything(512)
		pause, err := readSlowly(p.nc, 2*deadAfter)
		if err == nil && seed.Stats().Peers == 1 {
			return
		}
		if pause < deadAfter/2 { // else it was not slow but silent, as the machine had other things to do
			t.Fatalf("it was cut off: %v; its longest pause was %v", err, pause)
		}
		seed.Close()
	}
}

// readSlowly reads 10 Mbit/s for a while. Its longest pause is that between two reads.
func readSlowly(nc net.Conn, while time.Duration) (longest time.Duration, err error) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 32<<10)
	last := time.Now()
	for end := last.Add(while); err == nil && time.Now().Before(end); <-tick.C {
		_, err = nc.Read(buf)
		now := time.Now()
		last, longest = now, max(longest, now.Sub(last))
	}
	return longest, err
}

// A peer that stops in the middle of a block, or sends a byte of it now and then, does not keep
// others from bringing it.
func TestStalledBlockComesFromAnother(t *testing.T) {
	for name, test := range map[string]struct {
		every time.Duration // a byte; 0: none
		limit time.Duration
	}{
		"stopped":  {0, stalledAfter},
		"trickles": {200 * time.Millisecond, blockTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stall(t, test.every, test.limit)
		})
	}
}

func stall(t *testing.T, every, limit time.Duration) {
	tor, disk := image(t, 16, 64<<10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &ram{b: make([]byte, len(disk.b))}
	s := begin(t, tor, store.New(tor, d, "target"), Config{})
	s.AddPeers(addrs(t, l.Addr().String()))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := greet(t, tor, nc)
	p.say(wire.AppendUnchoke(wire.AppendHaveAll(nil)))
	m := p.next("a request", is(wire.Request))
	p.say(append(wire.AppendPieceHeader(nil, m.Block), make([]byte, m.Block.Length/2)...))
	done := make(chan struct{})
	defer close(done)
	if every > 0 {
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(every):
					if _, err := nc.Write([]byte{0}); err != nil {
						return
					}
				}
			}
		}()
	}
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	start := time.Now()
	s.AddPeers(addrs(t, addr(seed).String()))
	if err := wait(t, s); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > limit+4*time.Second {
		t.Fatalf("it took %v", took)
	}
	same(t, tor, disk, d)
}

// slowDisk takes its time over each write.
type slowDisk struct {
	*ram
	each time.Duration
}

func (d slowDisk) WriteAt(p []byte, off int64) (int, error) {
	time.Sleep(d.each)
	return d.ram.WriteAt(p, off)
}

// A receiver whose disk is slow is not taken for dead.
func TestSlowDiskKeepsItsConnection(t *testing.T) {
	t.Parallel()
	tor, disk := image(t, 400, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	s := begin(t, tor, store.New(tor, slowDisk{&ram{b: make([]byte, len(disk.b))}, 20 * time.Millisecond}, "target"), Config{})
	s.AddPeers(addrs(t, addr(seed).String()))
	eventually(t, 60*time.Second, "it is connected", func() bool { return seed.Stats().Peers == 1 })
	start := time.Now()
	for !s.store.Complete() {
		if seed.Stats().Peers != 1 {
			t.Fatalf("cut off after %v", time.Since(start))
		}
		if time.Since(start) > 3*time.Minute {
			t.Fatal("it does not finish")
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("it took %v", time.Since(start))
}

// What a bad disk cannot give is refused and withdrawn; the connection goes on.
func TestUnreadableBlockIsRejected(t *testing.T) {
	tor, disk := image(t, 4, 64<<10)
	bad := &ram{b: disk.b}
	off, _ := tor.Layout.Span(2)
	for e := range tor.Map.Slices(off+70, 1) {
		bad.readBad = e.Offset
	}
	seed := begin(t, tor, store.NewSource(tor, bad, "seed"), Config{})
	p := visit(t, tor, seed)
	p.say(wire.AppendInterested(nil))
	p.next("piece 2", func(m wire.Message) bool { return m.Type == wire.Have && m.Piece == 2 })
	p.say(wire.AppendRequest(nil, p.blocks(2)[0]))
	rejected, withdrawn := false, false
	for !rejected || !withdrawn {
		m := p.next("a reject and a don't have", func(wire.Message) bool { return true })
		switch {
		case m.Type == wire.Piece:
			t.Fatal("the bad block was sent")
		case m.Type == wire.Reject && m.Block == p.blocks(2)[0]:
			rejected = true
		case m.Type == wire.Extended && m.ExtID == strangerDontHave:
			i, err := wire.ParseDontHave(m.Payload, len(tor.Pieces))
			withdrawn = err == nil && i == 2
		}
	}
	p.say(wire.AppendRequest(nil, p.blocks(1)[0]))
	if m := p.next("another block", is(wire.Piece)); m.Block != p.blocks(1)[0] {
		t.Fatalf("got %v", m.Block)
	}
}

// A peer that takes a piece back (BEP 54) is not asked for it.
func TestWithdrawnPieceIsNotAskedFor(t *testing.T) {
	tor, disk := image(t, 8, 64<<10)
	s := begin(t, tor, store.New(tor, &ram{b: make([]byte, len(disk.b))}, "target"), Config{})
	p := visit(t, tor, s)
	m := p.next("the extension handshake", is(wire.Extended))
	e, err := wire.ParseExtensions(m.Payload)
	if err != nil || e.DontHave == 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	b := wire.AppendHaveAll(nil)
	for i := range tor.Pieces {
		if i != 5 {
			b = wire.AppendDontHave(b, e.DontHave, i)
		}
	}
	p.say(wire.AppendUnchoke(b))
	for range p.blocks(5) {
		if m := p.next("a request", is(wire.Request)); m.Block.Piece != 5 {
			t.Fatalf("asked for %v", m.Block)
		}
	}
	p.nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // for six rounds of the picker
	for {
		m, err := p.r.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil || m.Type == wire.Request {
			t.Fatalf("%+v, %v", m, err)
		}
	}
}

// An address is tried again whatever begins at our end of a connection that it made.
func TestEncryptedTryDoesNotCount(t *testing.T) {
	tor, disk := image(t, 4, 64<<10)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{})
	for range 100 {
		nc, err := net.Dial("tcp", addr(seed).String())
		if err != nil {
			t.Fatal(err)
		}
		nc.Write(make([]byte, 96+100)) // a Diffie-Hellman key and its padding
		nc.SetReadDeadline(time.Now().Add(60 * time.Second))
		if n, err := nc.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("it was answered, or not hung up on: %v", err)
		}
		nc.Close()
	}
	visit(t, tor, seed).next("a piece to ask for", is(wire.Have))
}

func TestMemoryAnswersForWhatItHolds(t *testing.T) {
	m := newMemory(piece.Layout{Length: 4 * grain, Size: 40 * grain}, 1)
	a, b := &conn{}, &conn{}
	block := func(i, first, n int) wire.Block {
		return wire.Block{Piece: int32(i), Begin: int32(first) * grain, Length: int32(n) * grain}
	}
	p, no := m.claim(block(0, 0, 2), a)
	if no != nil {
		t.Fatal("an empty memory has no room")
	}
	if _, no := m.claim(block(0, 1, 2), b); no == nil || no.holder != a || len(no.here) != 0 {
		t.Fatalf("a block that arrives elsewhere: %+v", no)
	}
	m.arrived(p)
	if _, no := m.claim(block(0, 1, 2), b); no == nil || no.holder != nil || len(no.here) != 1 || no.here[0].b != block(0, 1, 1) {
		t.Fatalf("a block whose first half is here: %+v", no)
	}
	if _, no := m.claim(block(0, 0, 2), b); no == nil || len(no.here) != 1 || no.here[0].b != block(0, 0, 2) || !m.holds(no.here[0]) {
		t.Fatalf("a block that is here: %+v", no)
	}
	late, _ := m.claim(block(1, 0, 1), b)
	if _, no := m.claim(block(2, 0, 1), b); no == nil || no.holder != nil || no.here != nil {
		t.Fatalf("beyond the budget: %+v", no)
	}
	m.drop(1) // while it arrives: its memory must not be given to another piece
	if len(m.free) != 0 {
		t.Fatal("memory is free that a connection writes to")
	}
	m.arrived(late)
	if m.holds(late) {
		t.Fatal("a dropped piece is still held")
	}
	again, no := m.claim(block(1, 0, 1), a)
	if no != nil {
		t.Fatalf("a dropped piece cannot come again: %+v", no)
	}
	m.broke(again)
	if len(m.open) != 1 || len(m.free) != 1 {
		t.Fatalf("%d pieces are open, %d buffers free", len(m.open), len(m.free))
	}
	m.release(0, true)
	if _, no := m.claim(block(0, 3, 1), b); no == nil || len(no.here) != 1 || !m.holds(no.here[0]) {
		t.Fatalf("a late block of a written piece: %+v", no)
	}
	if m.empty(); m.free != nil {
		t.Fatal("buffers are kept that nobody needs")
	}
	m.lost(0)
	if _, no := m.claim(block(0, 3, 1), b); no != nil {
		t.Fatalf("a lost piece cannot come again: %+v", no)
	}
}
