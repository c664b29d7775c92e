// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"testing"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// Peers that claim everything and send nothing do not keep the last piece to themselves, however many
// they are; they are asked again, later.
func TestSilentSourcesGiveWay(t *testing.T) {
	p := newPicker(1, 10, piece.NewBitfield(1))
	for id := range ID(8) {
		join(p, id+1, all(1))
	}
	now := start
	for range 3 { // each block is asked of two
		p.Act(now)
		now = now.Add(tickEvery)
	}
	join(p, 9, all(1))
	p.peers[9].src.given = 1
	asked := map[wire.Block]bool{}
	for end := now.Add(2 * silentTime); len(asked) < length/block; now = now.Add(tickEvery) {
		if now.After(end) {
			t.Fatalf("after %v peer 9 was asked for %d blocks", now.Sub(start), len(asked))
		}
		for _, a := range of(Request, p.Act(now)) {
			if a.Peer == 9 {
				asked[a.Block] = true
				p.Received(9, a.Block, now)
			}
		}
	}
	if !p.open.list[0].whole() {
		t.Fatal("the piece is not here")
	}
	p.Failed(0)
	p.Leave(9)
	again := false
	for end := now.Add((mostNaps + 2) * memory); now.Before(end) && !again; now = now.Add(tickEvery) {
		again = len(of(Request, p.Act(now))) > 0
	}
	if !again {
		t.Fatal("those that were silent are never asked again")
	}
}

// Nobody is asked for anything any more after he has left, and nothing is kept open for him.
func TestWhoLeftIsNotAsked(t *testing.T) {
	p := newPicker(4, 10, piece.NewBitfield(4))
	join(p, 1, all(4))
	p.Leave(1) // before the picker came to it
	if reqs := of(Request, p.Act(start)); len(reqs) > 0 || len(p.open.list) > 0 {
		t.Fatalf("%d requests, %d open pieces", len(reqs), len(p.open.list))
	}
	join(p, 2, all(4))
	p.Act(start)
	p.Leave(2)
	if reqs := of(Request, p.Act(start)); len(reqs) > 0 || len(p.open.list) > 0 {
		t.Fatalf("%d requests, %d open pieces", len(reqs), len(p.open.list))
	}
}

// A slow peer is not taken for silent.
func TestSlowSourceKeepsItsWork(t *testing.T) {
	p := newPicker(1, 10, piece.NewBitfield(1))
	join(p, 1, all(1))
	p.Act(start)
	q := p.peers[1]
	q.src.rate = float64(block) // a block a second
	if p.now = start.Add(silentTime + time.Second); p.silent(q) {
		t.Fatal("it is silent after 3 s though it needs 1 s for a block")
	}
	if p.now = start.Add(memory + time.Second); !p.silent(q) {
		t.Fatal("nothing came for longer than anybody is waited for")
	}
}

// A peer that has brought nothing is not asked for more and more.
func TestUnprovenSourceIsAskedOnce(t *testing.T) {
	p := newPicker(100, 100, piece.NewBitfield(100))
	p.Join(1, Traits{}) // a foreign client
	p.PeerBitfield(1, all(100))
	p.Choked(1, false, true)
	bytes := int32(0)
	for now := start; now.Before(start.Add(4 * time.Second)); now = now.Add(tickEvery) {
		for _, a := range of(Request, p.Act(now)) {
			bytes += a.Block.Length
		}
	}
	if bytes != untriedAhead {
		t.Fatalf("asked for %d bytes", bytes)
	}
	p.Received(1, p.peers[1].src.inflight[0], start.Add(4*time.Second))
	if len(of(Request, p.Act(start.Add(4*time.Second)))) == 0 {
		t.Fatal("it has brought something, and is asked for nothing")
	}
}

// A piece that was wrong comes from one peer then, unless that one stops.
func TestWrongPieceComesFromOne(t *testing.T) {
	p := newPicker(1, 10, piece.NewBitfield(1))
	for id := range ID(3) {
		join(p, id+1, all(1))
	}
	take := func(now time.Time) map[ID]int {
		from := map[ID]int{}
		for _, a := range of(Request, p.Act(now)) {
			from[a.Peer]++
		}
		return from
	}
	if from := take(start); len(from) < 2 {
		t.Fatalf("at first it is asked of %v", from)
	}
	p.Failed(0)
	p.Act(start) // takes the requests back
	now := start.Add(tickEvery)
	if from := take(now); len(from) > 1 {
		t.Fatalf("after it was wrong it is asked of %v", from)
	}
	from := take(now.Add(patience / 2))
	if len(from) != 0 {
		t.Fatalf("and then of %v", from)
	}
	if from = take(now.Add(2 * patience)); len(from) == 0 {
		t.Fatal("that peer sends nothing, and nobody else is asked")
	}
}

// Pieces of which it is not known whether they are here are neither asked for nor the end near.
func TestUnknownPiecesWait(t *testing.T) {
	p := New(Config{
		Layout:  piece.Layout{Length: length, Size: 4 * length},
		Have:    bitfield(4, 0),
		Unknown: bitfield(4, 2, 3),
		Budget:  10,
		Rand:    newPicker(1, 1, piece.NewBitfield(1)).cfg.Rand,
	})
	join(p, 1, all(4))
	pieces := func(now time.Time) map[int32]bool {
		m := map[int32]bool{}
		for _, a := range of(Request, p.Act(now)) {
			m[a.Block.Piece] = true
		}
		return m
	}
	if m := pieces(start); len(m) != 1 || !m[1] {
		t.Fatalf("asked for %v", m)
	}
	if p.ending() {
		t.Fatal("two pieces are unknown, and it ends")
	}
	for _, b := range p.peers[1].src.inflight[:1] {
		p.Received(1, b, start)
	}
	p.Missing(2)
	p.Missing(0) // is here: no news
	if m := pieces(start.Add(tickEvery)); len(m) != 1 || !m[2] {
		t.Fatalf("asked for %v", m)
	}
	p.Verified(3)
	p.Missing(3)
	if m := pieces(start.Add(2 * tickEvery)); len(m) != 0 || !p.ending() {
		t.Fatalf("asked for %v", m)
	}
}
