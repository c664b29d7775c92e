// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"testing"
	"time"

	"ezio/lib/piece"
)

// links are peers that take what they are sent, each at its own rate, and announce what is whole.
type links struct {
	p    *Picker
	rate map[ID]int64 // bytes a tick
	sent map[ID][]Action
	due  map[ID]int64
}

func newLinks(p *Picker, rate map[ID]int64) *links {
	return &links{p: p, rate: rate, sent: map[ID][]Action{}, due: map[ID]int64{}}
}

// tick is 50 ms: what was sent goes on its way as fast as the peers' links are, offers are taken as long as a
// peer has none, and the offers are returned.
func (l *links) tick(t *testing.T, now time.Time) (offers []Action) {
	for _, a := range l.p.Act(now) {
		switch a.Kind {
		case Offer:
			offers = append(offers, a)
			request(t, l.p, a.Peer, a.Piece, now)
			l.p.Full(a.Peer, -1, now)
		case Send:
			l.sent[a.Peer] = append(l.sent[a.Peer], a)
		}
	}
	for id := range l.p.peers {
		l.due[id] = min(l.due[id]+l.rate[id], l.rate[id]+block)
		for len(l.sent[id]) > 0 && l.due[id] >= block {
			b := l.sent[id][0].Block
			l.sent[id] = l.sent[id][1:]
			l.due[id] -= block
			l.p.Sent(id, b)
			if b.Begin+b.Length == length {
				l.p.PeerHas(id, int(b.Piece))
				l.p.Wanted(id, -1)
			}
		}
	}
	return offers
}

const fast, slow = 2 * block, block / 8 // bytes a tick: a piece takes 0.4 s, or 6.4 s

// Who is slow has its own share of the link, beside another; and a seed entrusts it with nothing that nobody
// else has.
func TestSlowReceiverIsServedBesideAnother(t *testing.T) {
	p := newMatcher(40, 10, all(40))
	kin(p, 1, 2, 3)
	l := newLinks(p, map[ID]int64{1: fast, 2: slow, 3: fast})
	got := map[ID]int{}
	var known bool
	for now := start; now.Before(start.Add(10 * time.Second)); now = now.Add(tickEvery) {
		for _, a := range l.tick(t, now) {
			got[a.Peer]++
			if known && a.Peer == 2 && p.avail[a.Piece] == 0 {
				t.Fatalf("piece %d, which nobody has, is offered to the slow one", a.Piece)
			}
		}
		known = p.peers[2].snk.slow
	}
	// The link carries one fast peer at a time: 25 pieces in 10 s. Till the slow one is known it costs 0.6 s.
	if !known || got[1]+got[3] < 20 {
		t.Fatalf("offers to each: %v, the slow one known: %v", got, known)
	}
}

// A link that had nothing to do for a while works with one peer at a time all the same.
func TestIdleLinkIsNotSlow(t *testing.T) {
	p := newMatcher(8, 10, all(8))
	kin(p, 1, 2)
	l := newLinks(p, map[ID]int64{1: fast, 2: fast})
	now := start
	for ; p.peers[1].has.Count()+p.peers[2].has.Count() < 4; now = now.Add(tickEvery) {
		l.tick(t, now)
	}
	p.Full(1, -1, now)
	p.Full(2, -1, now)
	for range 20 {
		now = now.Add(tickEvery)
		p.Full(1, -1, now)
		p.Full(2, -1, now)
		l.tick(t, now)
	}
	p.Wanted(1, -1)
	p.Wanted(2, -1)
	for range 7 {
		now = now.Add(tickEvery)
		l.tick(t, now)
		if p.up.turns > 1 || p.up.slots.count() != 1 {
			t.Fatalf("%d are served at once, of %d", p.up.turns, p.up.slots.count())
		}
	}
}

// A seed leaves to others what they can send, but not for ever.
func TestSeedLeavesToOthersWhatTheyHave(t *testing.T) {
	p := newMatcher(2, 10, all(2))
	kin(p, 1, 2)
	l := newLinks(p, map[ID]int64{1: fast, 2: fast})
	now := start
	for ; p.peers[1].has.Count()+p.peers[2].has.Count() < 2; now = now.Add(tickEvery) {
		l.tick(t, now)
	}
	for whole := now; ; now = now.Add(tickEvery) {
		if offers := l.tick(t, now); len(offers) > 0 {
			if waited := now.Sub(p.peers[offers[0].Peer].snk.room); waited < 500*time.Millisecond {
				t.Fatalf("what the other has is offered to one that has had room for %v, and a piece takes 0.4 s", waited)
			}
			break
		}
		if now.Sub(whole) > 2*time.Second {
			t.Fatal("never again")
		}
	}
	// One that claims everything is not waited for when nothing is known yet, nor for long.
	p = newMatcher(8, 10, all(8))
	kin(p, 1, 2)
	p.PeerBitfield(2, all(8))
	l = newLinks(p, map[ID]int64{1: fast})
	for now = start; !p.peers[1].has.All(); now = now.Add(tickEvery) {
		if l.tick(t, now); now.Sub(start) > 7*time.Second {
			t.Fatalf("%d pieces of 8 in 7 s, and none takes more than 0.4 s", p.peers[1].has.Count())
		}
	}
	// Whom nobody else can serve is served at once.
	p = newMatcher(2, 10, all(2))
	kin(p, 1)
	l = newLinks(p, map[ID]int64{1: fast})
	for now = start; !p.peers[1].has.All(); now = now.Add(tickEvery) {
		if l.tick(t, now); now.Sub(start) > 1200*time.Millisecond {
			t.Fatal("two pieces take more than 1.2 s")
		}
	}
}

// offered is what comes of an offer: whether it is taken.
func offered(p *Picker, id ID, i int, rate int64, now time.Time) bool {
	p.Offered(id, i, rate, now)
	for _, r := range of(Request, p.Act(now)) {
		if r.Peer == id {
			return true
		}
	}
	return false
}

// A receiver on a slow link tries whether another source is faster, and then stays with the one it has.
func TestSlowLinkKeepsItsSource(t *testing.T) {
	p := newMatcher(8, 10, piece.NewBitfield(8))
	kin(p, 1, 2, 3)
	p.Act(start)
	p.Offered(1, 0, 1e6, start)
	changes := 0
	now := start
	for at := 0; now.Before(start.Add(darePause)); now = now.Add(tickEvery) {
		p.Act(now)
		if now.Sub(start)%(700*time.Millisecond) == 0 && at < length/block-1 { // whoever sends
			id := p.open.of[0].owner
			p.Received(id.id, id.src.inflight[0], now)
			at++
		}
		if offered(p, 2+ID(now.UnixMilli()/50%2), 0, 10e6, now) {
			changes++
		}
	}
	if changes == 0 || changes > 2 {
		t.Fatalf("the source was changed %d times in %v", changes, darePause)
	}
}

// A piece that was wrong comes from one sender while that sends, however slowly.
func TestWrongPieceStaysWithOneSender(t *testing.T) {
	p := newMatcher(8, 10, piece.NewBitfield(8))
	kin(p, 1, 2)
	p.Act(start)
	p.Offered(1, 0, 0, start)
	for at := int32(0); at < length; at += block {
		p.Received(1, p.peers[1].src.inflight[0], start)
	}
	p.Failed(0)
	p.Act(start)
	p.Offered(1, 0, 0, start)
	now := start
	for ; now.Before(start.Add(8 * time.Second)); now = now.Add(tickEvery) {
		p.Act(now)
		if now.Sub(start)%time.Second == 0 {
			p.Received(1, p.peers[1].src.inflight[0], now)
		}
		if offered(p, 2, 0, 10e6, now) {
			t.Fatal("it was taken over")
		}
	}
}

// What a slow machine was given before it was known to be one goes to another too, and what nobody has waits
// for another, if there is one.
func TestSlowReceiverIsNoRelay(t *testing.T) {
	p := newMatcher(2, 10, all(2))
	p.offers.took = 2 * time.Second // what is under way is not given up for lost soon
	kin(p, 1, 2)
	l := newLinks(p, map[ID]int64{1: slow, 2: fast})
	now := start
	for ; !p.peers[2].has.All(); now = now.Add(tickEvery) {
		if l.tick(t, now); now.Sub(start) > 3*time.Second {
			t.Fatalf("what the slow one is sent is kept from the other for %v", now.Sub(start))
		}
	}

	p = newMatcher(40, 10, all(40))
	kin(p, 1, 2)
	l = newLinks(p, map[ID]int64{1: slow, 2: fast})
	for now = start; !p.peers[1].snk.slow; now = now.Add(tickEvery) {
		l.tick(t, now)
	}
	for i := range 40 {
		if p.peers[2].has.Has(i) { // nothing else is left for the slow one
			p.PeerHas(1, i)
		}
	}
	until := now.Add(time.Second)
	for ; now.Before(until); now = now.Add(tickEvery) {
		p.Full(2, -1, now)
		p.Wanted(1, -1)
		for _, a := range l.tick(t, now) {
			if p.avail[a.Piece] == 0 {
				t.Fatalf("%v to the slow one, and the other is about to have room", a)
			}
		}
	}
	p.Leave(2)
	p.Wanted(1, -1)
	for until := now.Add(8 * time.Second); len(l.tick(t, now)) == 0; now = now.Add(tickEvery) {
		if now.After(until) {
			t.Fatal("nothing more for the slow one when it is the only one")
		}
	}
}

// That a second receiver is tried beside a slow one is no reason to offer the slow one more.
func TestTrialIsForAnother(t *testing.T) {
	p := newMatcher(8, 10, all(8))
	kin(p, 1)
	l := newLinks(p, map[ID]int64{1: slow})
	offers := 0
	for now := start; now.Before(start.Add(5 * time.Second)); now = now.Add(tickEvery) {
		p.Wanted(1, -1)
		offers += len(l.tick(t, now))
	}
	if offers != 1 {
		t.Fatalf("%d offers while the first piece, of 6.4 s, is sent", offers)
	}
}
