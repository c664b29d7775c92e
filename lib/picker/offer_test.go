// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"math/rand/v2"
	"testing"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// newMatcher is a picker that arranges everything by offers.
func newMatcher(n, budget int, have *piece.Bitfield) *Picker {
	p := newPicker(n, budget, have)
	p.match()
	return p
}

// kin makes peers of our own kind known.
func kin(p *Picker, ids ...ID) {
	for _, id := range ids {
		p.Join(id, Traits{Block: block, Queue: 2000, Offers: true})
		p.Choked(id, false, true)
	}
}

// request is all of a piece, as a peer that takes an offer asks for it.
func request(t *testing.T, p *Picker, id ID, i int, now time.Time) (blocks []wire.Block) {
	t.Helper()
	for at := int32(0); at < length; at += block {
		b := wire.Block{Piece: int32(i), Begin: at, Length: block}
		if !p.Requested(id, b, now) {
			t.Fatalf("%v is refused", b)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// An uplink offers one piece to one receiver, and the next when that one is about to be sent; a seed
// offers no piece twice before it was announced.
func TestSeedOffersOnePieceAfterTheOther(t *testing.T) {
	const n = 20
	p := newMatcher(n, 10, all(n))
	kin(p, 1, 2, 3)
	offered := map[int]bool{}
	now := start
	for range n {
		offers := of(Offer, p.Act(now))
		if len(offers) != 1 {
			t.Fatalf("offers %v", offers)
		}
		a := offers[0]
		if offered[a.Piece] {
			t.Fatalf("piece %d is offered twice", a.Piece)
		}
		offered[a.Piece] = true
		blocks := request(t, p, a.Peer, a.Piece, now)
		actions := p.Act(now)
		if len(of(Offer, actions)) != 0 {
			t.Fatal("an offer while a piece is being sent")
		}
		if len(of(Send, actions)) != len(blocks) {
			t.Fatalf("the piece is not sent: %v", actions)
		}
		for _, b := range blocks {
			p.Sent(a.Peer, b)
		}
		p.PeerHas(a.Peer, a.Piece)
		now = now.Add(time.Millisecond)
	}
}

// Who is full is left alone until it says otherwise, or long enough ago.
func TestOffersGoToThoseWithRoom(t *testing.T) {
	p := newMatcher(4, 10, all(4))
	kin(p, 1, 2)
	a := of(Offer, p.Act(start))[0]
	p.Full(a.Peer, a.Piece, start)
	b := of(Offer, p.Act(start))
	if len(b) != 1 || b[0].Peer == a.Peer {
		t.Fatalf("after %v said it is full: %v", a, b)
	}
	p.Full(b[0].Peer, b[0].Piece, start)
	if x := of(Offer, p.Act(start)); len(x) != 0 {
		t.Fatalf("both are full: %v", x)
	}
	p.Wanted(a.Peer, -1)
	if x := of(Offer, p.Act(start)); len(x) != 1 || x[0].Peer != a.Peer {
		t.Fatalf("one has room again: %v", x)
	}
	p.Full(a.Peer, -1, start)
	later := start.Add(memory + 2*answerTime)
	p.Act(later)
	if x := of(Offer, p.Act(later.Add(time.Millisecond))); len(x) == 0 && p.offers.out == 0 {
		t.Fatal("who was full once is never asked again")
	}
}

// An offer that is not answered is void after a while.
func TestUnansweredOfferIsForgotten(t *testing.T) {
	p := newMatcher(4, 10, all(4))
	kin(p, 1)
	if x := of(Offer, p.Act(start)); len(x) != 1 {
		t.Fatalf("offers %v", x)
	}
	if x := of(Offer, p.Act(start.Add(answerTime/2))); len(x) != 0 {
		t.Fatalf("offers %v while one waits", x)
	}
	if x := of(Offer, p.Act(start.Add(2*answerTime))); len(x) != 0 || p.offers.out != 0 {
		t.Fatalf("offers %v to one that does not answer", x)
	}
	p.Act(start.Add(3*answerTime + memory))
	if x := of(Offer, p.Act(start.Add(3*answerTime+memory+tickEvery))); len(x) != 1 && p.offers.out != 1 {
		t.Fatalf("offers %v a while after one was not answered", x)
	}
}

// A receiver takes what it is offered by requesting it, one piece at a time, and says so.
func TestOfferIsTakenOrDeclined(t *testing.T) {
	p := newMatcher(8, 10, bitfield(8, 7))
	kin(p, 1, 2)
	p.Act(start)
	p.Offered(1, 0, 0, start)
	actions := p.Act(start)
	if r := of(Request, actions); len(r) != length/block || r[0].Peer != 1 {
		t.Fatalf("the offer was answered with %v", actions)
	}
	if f := of(Full, actions); len(f) != 2 {
		t.Fatalf("two peers should hear that there is no room: %v", f)
	}
	p.Offered(2, 0, 0, start)
	if a := p.Act(start); len(of(Decline, a)) != 1 || len(of(Request, a)) != 0 {
		t.Fatalf("a piece that is coming: %v", a)
	}
	p.Offered(2, 1, 0, start)
	if a := p.Act(start); len(of(Full, a)) != 1 || len(of(Request, a)) != 0 {
		t.Fatalf("no room: %v", a)
	}
	p.Offered(2, 7, 0, start)
	if a := p.Act(start); len(of(Decline, a)) != 1 {
		t.Fatalf("a piece that is here: %v", a)
	}
	for at := int32(0); at < length; at += block {
		p.Received(1, wire.Block{Piece: 0, Begin: at, Length: block}, start)
	}
	if w := of(Want, p.Act(start)); len(w) != 2 {
		t.Fatalf("two peers should hear that there is room again: %v", w)
	}
	p.Verified(0)
	p.Offered(2, 1, 0, start)
	if r := of(Request, p.Act(start)); len(r) != length/block || r[0].Peer != 2 {
		t.Fatalf("asked %v", r)
	}
}

// A piece that comes from elsewhere is replaced by another that the same peer has.
func TestDeclinedOfferIsUsedForAnotherPiece(t *testing.T) {
	p := newMatcher(8, 10, bitfield(8))
	kin(p, 1, 2)
	p.PeerHas(2, 3)
	p.Act(start)
	p.take(p.peers[1], 0)
	p.Act(start)
	p.peers[1].src.bytes = 0 // as if it were all but here
	p.Offered(2, 0, 0, start)
	a := p.Act(start)
	if r := of(Request, a); len(of(Decline, a)) != 1 || len(r) != length/block || r[0].Block.Piece != 3 {
		t.Fatalf("answered with %v", a)
	}
}

// A piece of which nothing comes is taken back, and those whose offers of it were declined hear so.
func TestStuckPieceIsWantedAgain(t *testing.T) {
	p := newMatcher(8, 10, bitfield(8))
	kin(p, 1, 2)
	p.Act(start)
	p.Offered(1, 0, 0, start)
	p.Offered(2, 0, 0, start)
	p.Act(start)
	var cancels, wants []Action
	for now := start; now.Before(start.Add(memory)); now = now.Add(tickEvery) {
		a := p.Act(now)
		cancels = append(cancels, of(Cancel, a)...)
		for _, w := range of(Want, a) {
			if w.Piece == 0 {
				wants = append(wants, w)
			}
		}
	}
	if len(cancels) != length/block || len(wants) != 1 || wants[0].Peer != 2 {
		t.Fatalf("cancels %v, wants %v", cancels, wants)
	}
	now := start.Add(memory)
	p.Offered(2, 0, 0, now)
	if r := of(Request, p.Act(now)); len(r) != length/block || r[0].Peer != 2 {
		t.Fatalf("asked %v", r)
	}
}

// A peer that vanishes leaves what it took, and what it was asked for.
func TestLeaveEndsOffers(t *testing.T) {
	p := newMatcher(8, 10, all(8))
	kin(p, 1)
	a := of(Offer, p.Act(start))[0]
	p.Leave(1)
	kin(p, 2)
	if b := of(Offer, p.Act(start)); len(b) != 1 || b[0].Peer != 2 || p.reveal.given[b[0].Piece] != 1 || p.offers.out != 1 {
		t.Fatalf("%v, then %v, %d out", a, b, p.offers.out)
	}
	request(t, p, 2, 0, start)
	p.Act(start)
	p.Leave(2)
	if p.up.queued != 0 || p.up.turns != 0 || p.offers.out != 0 {
		t.Fatalf("%d bytes queued, %d turns, %d offers", p.up.queued, p.up.turns, p.offers.out)
	}
}

// Nothing is done with a peer that is about to say what it speaks, for a while.
func TestVaguePeerWaits(t *testing.T) {
	p := newPicker(4, 10, bitfield(4))
	p.Join(1, Traits{Vague: true})
	p.Choked(1, false, true)
	p.PeerBitfield(1, all(4))
	if a := p.Act(start); len(a) != 0 {
		t.Fatalf("%v", a)
	}
	if a := p.Act(start.Add(vagueTime + tickEvery)); len(of(Request, a)) == 0 {
		t.Fatalf("%v after the wait", a)
	}
}

// With many pieces there are no offers, and with few a foreign client is asked as ever.
func TestOffersAreForFewPiecesAndOurKind(t *testing.T) {
	for _, c := range []struct {
		pieces int
		length int64
		offers bool
	}{{17, 16 << 20, true}, {17, 1 << 20, false}, {1000, 16 << 20, false}} {
		p := New(Config{
			Layout: piece.Layout{Length: c.length, Size: int64(c.pieces) * c.length},
			Have:   all(c.pieces), Budget: 9, Seed: true, Rand: rand.New(rand.NewPCG(1, 1)),
		})
		kin(p, 1)
		a := p.Act(start)
		if offers, reveals := len(of(Offer, a)) > 0, len(of(Reveal, a)) > 0; offers != c.offers || reveals == c.offers {
			t.Fatalf("%+v: %v", c, a)
		}
	}
	p := newMatcher(8, 10, piece.NewBitfield(8))
	join(p, 1, all(8))
	if a := p.Act(start); len(of(Request, a)) == 0 {
		t.Fatal("a foreign client is not asked")
	}
}

// A piece that is on its way from the seed to one receiver is relayed by that one.
func TestSeedSendsNoPieceTwiceBeforeItIsAnnounced(t *testing.T) {
	p := newMatcher(1, 10, all(1))
	kin(p, 1, 2)
	a := of(Offer, p.Act(start))[0]
	for _, b := range request(t, p, a.Peer, 0, start) {
		p.Act(start)
		p.Sent(a.Peer, b)
	}
	if b := of(Offer, p.Act(start.Add(time.Second))); len(b) != 0 {
		t.Fatalf("%v after %v", b, a)
	}
	p.PeerHas(a.Peer, 0)
	if b := of(Offer, p.Act(start.Add(time.Second))); len(b) != 1 || b[0].Peer == a.Peer {
		t.Fatalf("%v once it was announced", b)
	}
}

// A foreign client that was shown a piece and does not fetch it keeps it from nobody.
func TestShownPieceIsOfferedToOthersAfterAWhile(t *testing.T) {
	p := newMatcher(1, 10, all(1))
	p.Join(1, Traits{})
	if r := of(Reveal, p.Act(start)); len(r) != 1 {
		t.Fatalf("revealed %v", r)
	}
	kin(p, 2)
	if o := of(Offer, p.Act(start)); len(o) != 0 {
		t.Fatalf("%v while it is on its way", o)
	}
	if o := of(Offer, p.Act(start.Add(leastLost))); len(o) != 1 || o[0].Peer != 2 {
		t.Fatalf("offers %v", o)
	}
}

// Whoever offered a piece and sent nothing of it is not believed again for a while.
func TestEmptyOffersCostTheOfferer(t *testing.T) {
	p := newMatcher(8, 10, bitfield(8))
	kin(p, 1)
	p.Act(start)
	p.Offered(1, 0, 0, start)
	now := start
	for len(of(Cancel, p.Act(now))) == 0 {
		if now = now.Add(tickEvery); now.Sub(start) > memory {
			t.Fatal("it was never given up")
		}
	}
	p.Offered(1, 1, 0, now)
	if a := p.Act(now); len(of(Request, a)) != 0 || len(of(Full, a)) != 1 || len(of(Want, a)) != 0 {
		t.Fatalf("believed again: %v", a)
	}
	now = now.Add(memory)
	if w := of(Want, p.Act(now)); len(w) != 1 {
		t.Fatalf("it is not invited again: %v", w)
	}
	p.Offered(1, 1, 0, now)
	if r := of(Request, p.Act(now)); len(r) == 0 {
		t.Fatal("it is never believed again")
	}
}

// Foreign clients do not use up the memory for pieces.
func TestForeignSourcesLeaveRoomForOffers(t *testing.T) {
	p := newMatcher(20, 4, bitfield(20))
	for id := range ID(6) {
		join(p, id+1, all(20))
	}
	kin(p, 7)
	p.Act(start)
	i := 0
	for p.open.of[i] != nil {
		i++
	}
	p.Offered(7, i, 0, start)
	for _, r := range of(Request, p.Act(start)) {
		if r.Peer == 7 {
			return
		}
	}
	t.Fatal("no offer is taken")
}

// A receiver whose only source is slow takes the offer of a fast one beside it, and of the same
// piece instead of it; a slow offer it declines.
func TestFastOfferBesideASlowSource(t *testing.T) {
	p := newMatcher(8, 10, bitfield(8))
	kin(p, 1, 2)
	p.Act(start)
	p.Offered(1, 0, 1e6, start)
	now := start
	for ; now.Before(start.Add(patience + 2*tickEvery)); now = now.Add(tickEvery) {
		p.Act(now)
		p.peers[1].src.rate = 1e6 // it comes, slowly
		p.open.of[0].progress = now
	}
	p.Offered(2, 1, 2e6, now)
	if a := p.Act(now); len(of(Full, a)) != 1 {
		t.Fatalf("an offer that is hardly better: %v", a)
	}
	p.Offered(2, 1, 10e6, now)
	if r := of(Request, p.Act(now)); len(r) == 0 || r[0].Block.Piece != 1 {
		t.Fatalf("a much faster offer: %v", r)
	}
	p.Offered(2, 0, 10e6, now)
	a := p.Act(now)
	if r, c := of(Request, a), of(Cancel, a); len(r) == 0 || len(c) != len(r) || c[0].Peer != 1 || r[0].Peer != 2 {
		t.Fatalf("a much faster offer of the same piece: %v", a)
	}
}
