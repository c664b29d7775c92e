// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"math/rand/v2"
	"testing"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

const (
	length = 256 << 10
	block  = 16 << 10
)

var start = time.Unix(1000, 0)

func bitfield(n int, set ...int) *piece.Bitfield {
	b := piece.NewBitfield(n)
	for _, i := range set {
		b.Set(i)
	}
	return b
}

func all(n int) *piece.Bitfield {
	b := piece.NewBitfield(n)
	for i := range n {
		b.Set(i)
	}
	return b
}

func newPicker(n, budget int, have *piece.Bitfield) *Picker {
	return New(Config{
		Layout: piece.Layout{Length: length, Size: int64(n) * length},
		Have:   have,
		Budget: budget,
		Seed:   have.All(),
		Rand:   rand.New(rand.NewPCG(1, 1)),
	})
}

func join(p *Picker, id ID, has *piece.Bitfield) {
	p.Join(id, Traits{Block: block})
	p.PeerBitfield(id, has)
	p.Choked(id, false, true)
}

func of(kind Kind, actions []Action) (list []Action) {
	for _, a := range actions {
		if a.Kind == kind {
			list = append(list, a)
		}
	}
	return list
}

func TestAsksOnlyForWhatIsMissingAndThere(t *testing.T) {
	p := newPicker(10, 100, bitfield(10, 3))
	join(p, 1, bitfield(10, 2, 3))
	reqs := of(Request, p.Act(start))
	if len(reqs) != length/block {
		t.Fatalf("%d requests for one piece", len(reqs))
	}
	at := int32(0)
	for _, a := range reqs {
		if a.Block.Piece != 2 || a.Block.Begin != at || a.Block.Length != block {
			t.Fatalf("asked for %v", a.Block)
		}
		at += block
	}
	if len(of(Request, p.Act(start))) != 0 {
		t.Fatal("asked twice")
	}
	p.Choked(1, true, false)
	p.Choked(1, false, false)
	if n := len(of(Request, p.Act(start))); n != length/block {
		t.Fatalf("%d requests after a choke that dropped them", n)
	}
}

func TestRarestFirst(t *testing.T) {
	p := newPicker(20, 100, piece.NewBitfield(20))
	p.Join(2, Traits{})
	p.PeerBitfield(2, all(20))
	p.Join(3, Traits{})
	p.PeerBitfield(3, bitfield(20, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19))
	join(p, 1, all(20))
	if reqs := of(Request, p.Act(start)); reqs[0].Block.Piece != 7 {
		t.Fatalf("the first request is for piece %d, the rarest is 7", reqs[0].Block.Piece)
	}
}

func TestBudgetBoundsOpenPieces(t *testing.T) {
	p := newPicker(50, 3, piece.NewBitfield(50))
	for id := range ID(10) {
		join(p, id+1, all(50))
	}
	p.Act(start)
	if len(p.open.list) > 3 {
		t.Fatalf("%d pieces open with a budget of 3", len(p.open.list))
	}
}

func TestWholeThenVerifiedOrFailed(t *testing.T) {
	p := newPicker(2, 10, piece.NewBitfield(2))
	join(p, 1, bitfield(2, 0))
	reqs := of(Request, p.Act(start))
	for i, a := range reqs {
		if whole := p.Received(1, a.Block, start); whole != (i == len(reqs)-1) {
			t.Fatalf("block %d of %d: whole %v", i, len(reqs), whole)
		}
	}
	if p.Received(1, reqs[0].Block, start) {
		t.Fatal("whole twice")
	}
	p.Failed(0)
	reqs = of(Request, p.Act(start))
	if len(reqs) != length/block {
		t.Fatalf("%d requests after a failed piece", len(reqs))
	}
	for _, a := range reqs {
		p.Received(1, a.Block, start)
	}
	p.Verified(0)
	if n := len(of(Request, p.Act(start))); n != 0 || p.Interesting(1) {
		t.Fatalf("%d requests for a piece that is here", n)
	}
}

// What a peer that left was asked for is asked of the others.
func TestLeaveFreesItsPieces(t *testing.T) {
	p := newPicker(1, 10, piece.NewBitfield(1))
	join(p, 1, all(1))
	join(p, 2, all(1))
	p.Act(start)
	p.Leave(1)
	asked := map[wire.Block]bool{}
	for _, b := range p.peers[2].src.inflight {
		asked[b] = true
	}
	for _, a := range of(Request, p.Act(start)) {
		asked[a.Block] = true
	}
	if len(asked) != length/block {
		t.Fatalf("%d blocks are asked of the peer that stayed", len(asked))
	}
}

// Near the end a block is asked of two; the one that comes second is told not to send it.
func TestEndgameCancelsTheOther(t *testing.T) {
	p := newPicker(1, 10, piece.NewBitfield(1))
	join(p, 1, all(1))
	p.Act(start)
	join(p, 2, all(1))
	reqs := of(Request, p.Act(start.Add(tickEvery)))
	if len(reqs) == 0 || reqs[0].Peer != 2 {
		t.Fatalf("an idle peer does not help: %v", reqs)
	}
	p.Received(1, reqs[0].Block, start)
	cancels := of(Cancel, p.Act(start.Add(tickEvery)))
	if len(cancels) != 1 || cancels[0].Peer != 2 || cancels[0].Block != reqs[0].Block {
		t.Fatalf("cancels %v", cancels)
	}
}

// A seed shows no piece to two receivers while some piece has never left it.
func TestSeedRevealsEachPieceOnce(t *testing.T) {
	const n = 400
	p := newPicker(n, 10, all(n))
	for id := range ID(4) {
		p.Join(id+1, Traits{Block: block})
	}
	shown := map[int]ID{}
	now := start
	for len(shown) < n {
		reveals := of(Reveal, p.Act(now))
		if len(reveals) == 0 {
			t.Fatalf("stuck with %d of %d pieces shown", len(shown), n)
		}
		for _, a := range reveals {
			if old, ok := shown[a.Piece]; ok && len(shown) < n {
				t.Fatalf("piece %d was shown to %d and then to %d", a.Piece, old, a.Peer)
			}
			shown[a.Piece] = a.Peer
			if !p.Requested(a.Peer, wire.Block{Piece: int32(a.Piece), Length: block}, start) {
				t.Fatal("a shown piece is refused")
			}
			p.PeerHas(a.Peer, a.Piece)
		}
		now = now.Add(tickEvery)
	}
	if p.Requested(1, wire.Block{Piece: int32(n + 1), Length: block}, start) {
		t.Fatal("a piece that does not exist is accepted")
	}
}

func TestSeedDoesNotServeWhatItDidNotShow(t *testing.T) {
	p := newPicker(1000, 10, all(1000))
	p.Join(1, Traits{Block: block})
	p.Act(start)
	if p.Requested(1, wire.Block{Piece: 999, Length: block}, start) {
		t.Fatal("a piece never shown is served")
	}
}

// A turn is a piece, and then another receiver has its turn.
func TestTurns(t *testing.T) {
	p := newPicker(100, 10, bitfield(100, 0, 1, 2))
	for id := range ID(10) {
		p.Join(id+1, Traits{Block: block})
	}
	p.Act(start)
	for id := range ID(10) {
		for i := range 2 {
			for at := int32(0); at < length; at += block {
				if !p.Requested(id+1, wire.Block{Piece: int32(i), Begin: at, Length: block}, start) {
					t.Fatal("refused")
				}
			}
		}
	}
	served := map[ID]int{}
	for _, a := range of(Send, p.Act(start)) {
		served[a.Peer]++
	}
	if len(served) != granted.base+1 {
		t.Fatalf("%d receivers are served at once", len(served))
	}
	for id, n := range served {
		if n != length/block {
			t.Fatalf("receiver %d got %d blocks in its turn", id, n)
		}
	}
	var first ID
	for id := range served {
		first = id
	}
	for at := int32(0); at < length; at += block {
		p.Sent(first, wire.Block{Piece: 0, Begin: at, Length: block})
	}
	next := of(Send, p.Act(start))
	if len(next) == 0 || served[next[0].Peer] != 0 {
		t.Fatalf("after a turn the next is %v", next)
	}
}

func TestWithdrawnPieceIsNotServed(t *testing.T) {
	p := newPicker(100, 10, bitfield(100, 0))
	p.Join(1, Traits{Block: block})
	p.Join(2, Traits{Block: block})
	p.Act(start)
	b := wire.Block{Piece: 0, Length: block}
	p.Requested(1, b, start)
	if lost := p.Withdraw(0); len(lost) != 1 || lost[0].Peer != 1 || lost[0].Block != b {
		t.Fatalf("lost %v", lost)
	}
	if p.Requested(2, b, start) || len(of(Send, p.Act(start))) != 0 {
		t.Fatal("a withdrawn piece is served")
	}
}

// A receiver fetches again what its disk lost.
func TestWithdrawnPieceIsFetchedAgain(t *testing.T) {
	p := newPicker(4, 10, bitfield(4))
	join(p, 1, all(4))
	for i := range 4 {
		p.Verified(i)
	}
	p.Withdraw(2)
	if r := of(Request, p.Act(start)); len(r) == 0 || r[0].Block.Piece != 2 {
		t.Fatalf("asked %v", r)
	}
}

// A seed only reads its disk: a piece it lost stays lost, whoever else has it.
func TestSeedNeverFetches(t *testing.T) {
	p := newPicker(4, 10, all(4))
	join(p, 1, all(4))
	p.Withdraw(2)
	if p.Interesting(1) || len(of(Request, p.Act(start))) != 0 {
		t.Fatal("a seed asks for the piece it lost")
	}
}

// A piece that a peer takes back is asked of others, and of that peer when it has it again.
func TestPieceThatAPeerLost(t *testing.T) {
	p := newPicker(1, 1, bitfield(1))
	join(p, 1, all(1))
	join(p, 2, bitfield(1))
	if r := of(Request, p.Act(start)); len(r) == 0 || r[0].Peer != 1 {
		t.Fatalf("asked %v", r)
	}
	p.PeerLost(1, 0)
	p.PeerLost(1, 0) // twice is once
	if p.Availability(0) != 0 || p.Complete(1) {
		t.Fatal("the peer still has it")
	}
	p.PeerHas(2, 0)
	if r := of(Request, p.Act(start.Add(tickEvery))); len(r) == 0 || r[0].Peer != 2 {
		t.Fatalf("asked %v", r)
	}
}

// A foreign peer that asks for nothing of what it was shown is shown more, until it does.
func TestShyPeerIsShownMore(t *testing.T) {
	p := newPicker(4000, 10, all(4000))
	p.Join(1, Traits{})
	p.Join(2, Traits{Block: 2 * block})
	shown := map[ID]int{}
	for now := start; now.Before(start.Add(4 * time.Second)); now = now.Add(tickEvery) {
		for _, a := range of(Reveal, p.Act(now)) {
			shown[a.Peer]++
		}
	}
	if shown[1] < 400 || shown[2] > maxRevealed {
		t.Fatalf("shown %v", shown)
	}
}

// Peers that ask for nothing keep no piece from the others, whoever they are and however many.
func TestSilentPeersKeepNothing(t *testing.T) {
	for name, tr := range map[string]Traits{"foreign": {}, "ours": {Block: block}} {
		const n = 300
		p := newPicker(n, 10, all(n))
		for id := range ID(60) {
			p.Join(id+2, tr)
		}
		now := start
		for range 40 { // they are first
			p.Act(now)
			now = now.Add(tickEvery)
		}
		p.Join(1, Traits{Block: block})
		got := 0
		for ; got < n && now.Before(start.Add(60*time.Second)); now = now.Add(tickEvery) {
			for _, a := range p.Act(now) {
				switch {
				case a.Peer != 1:
				case a.Kind == Reveal:
					p.Requested(1, wire.Block{Piece: int32(a.Piece), Length: block}, now)
				case a.Kind == Send:
					p.Sent(1, a.Block)
					p.PeerHas(1, int(a.Block.Piece))
					got++
				}
			}
		}
		if got < n {
			t.Errorf("%s: only %d of %d pieces in a minute", name, got, n)
		}
	}
}
