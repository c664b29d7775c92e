// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"testing"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// ours joins a peer of our own kind.
func ours(p *Picker, id ID, has *piece.Bitfield) {
	p.Join(id, Traits{Block: 256 << 10, Offers: true})
	p.PeerBitfield(id, has)
}

// said is what was said last to a peer, of the given kinds; ok is false if nothing was.
func said(actions []Action, id ID, kinds ...Kind) (last Kind, ok bool) {
	for _, a := range actions {
		for _, k := range kinds {
			if a.Peer == id && a.Kind == k {
				last, ok = k, true
			}
		}
	}
	return last, ok
}

func unchoked(actions []Action) (ids []ID) {
	for _, a := range of(Unchoke, actions) {
		ids = append(ids, a.Peer)
	}
	return ids
}

func TestFewOfOurKindAreServedAtOnce(t *testing.T) {
	p := newPicker(100, 10, bitfield(100, 0, 1))
	for id := range ID(10) {
		ours(p, id+1, piece.NewBitfield(100))
	}
	p.Join(99, Traits{}) // a foreign client is served besides
	got := unchoked(p.Act(start))
	if len(got) != granted.base+1 || got[0] != 99 {
		t.Fatalf("unchoked are %v", got)
	}
	b := wire.Block{Piece: 0, Length: block}
	for id := range ID(10) {
		ok := slices.Contains(got, id+1)
		if p.Requested(id+1, b, start) != ok {
			t.Fatalf("a request of peer %d, unchoked %v, is accepted: %v", id+1, ok, !ok)
		}
	}
	if !p.Requested(99, b, start) {
		t.Fatal("the foreign client's request is refused")
	}
	sent := map[ID]bool{}
	for _, a := range of(Send, p.Act(start)) {
		sent[a.Peer] = true
	}
	if len(sent) != granted.base+1 || !sent[99] {
		t.Fatalf("sent to %v", sent)
	}
}

func TestNobodyIsServedWhoLacksNothing(t *testing.T) {
	p := newPicker(100, 10, bitfield(100, 0, 1))
	ours(p, 1, bitfield(100, 0, 1, 2))
	if got := unchoked(p.Act(start)); len(got) != 0 {
		t.Fatalf("unchoked are %v", got)
	}
}

// A grant ends when the receiver wants no more, when it is not used, or when another has much less and
// it has lasted a while; what was asked for is then refused.
func TestGrantEnds(t *testing.T) {
	b := wire.Block{Piece: 0, Length: block}
	for _, c := range []struct {
		name  string
		busy  bool // it asks all the time
		other bool // somebody else waits who has nothing
		full  bool // it says that it has no room
		after time.Duration
		ends  bool
	}{
		{"used", true, false, false, time.Minute, false},
		{"not used", false, false, false, 2 * grantIdle, true},
		{"not used for a moment", false, false, false, grantIdle / 2, false},
		{"said full", true, false, true, 2 * tickEvery, true},
		{"another waits", true, true, false, 2 * grantTime, true},
		{"another waits, but it is new", true, true, false, grantTime / 2, false},
	} {
		p := newPicker(100, 10, bitfield(100, 0, 50))
		ours(p, 1, bitfield(100, 50, 51, 52, 53))
		p.Act(start)
		if c.full {
			p.Full(1, -1, start)
		}
		for id := range ID(8) {
			if c.other {
				ours(p, id+2, piece.NewBitfield(100))
			}
		}
		var refused []Action
		var last Kind
		ended := false
		for now := start; !ended && now.Before(start.Add(c.after)); now = now.Add(tickEvery) {
			if c.busy {
				p.Requested(1, b, now) // it is handed on and never sent
				p.Requested(1, wire.Block{Piece: 0, Begin: block, Length: 12 * block}, now)
				p.Requested(1, wire.Block{Piece: 0, Begin: 13 * block, Length: 2 * block}, now)
			}
			acts := p.Act(now)
			_, ended = said(acts, 1, Choke)
			last, _ = said(acts, 1, Choke, Unchoke)
			refused = of(Reject, acts)
		}
		if ended != c.ends {
			t.Errorf("%s: ended is %v after %v", c.name, ended, c.after)
		}
		if ended && last == Choke && p.Requested(1, b, start.Add(c.after)) {
			t.Errorf("%s: served without a grant", c.name)
		}
		for _, a := range refused {
			if a.Peer != 1 {
				t.Errorf("%s: refused %v", c.name, a)
			}
		}
	}
}

func TestQueueIsRefusedWithTheGrant(t *testing.T) {
	p := newPicker(100, 10, bitfield(100, 0, 1, 2))
	ours(p, 1, piece.NewBitfield(100))
	p.Act(start)
	for i := range int32(3) { // more than a connection is handed at once
		p.Requested(1, wire.Block{Piece: i, Length: length}, start)
	}
	if n := len(of(Send, p.Act(start))); n != handAhead/length {
		t.Fatalf("%d blocks handed on", n)
	}
	p.Full(1, -1, start)
	acts := p.Act(start)
	if no := of(Reject, acts); len(no) != 1 || no[0].Block.Piece != 2 {
		t.Fatalf("refused %v", no)
	}
	if p.up.queued != handAhead || p.up.turns != 0 {
		t.Fatalf("%d bytes are queued for %d turns", p.up.queued, p.up.turns)
	}
}

// A receiver that is served by enough others says so to those who do not serve it, and says when it
// has room again.
func TestFullAndWant(t *testing.T) {
	p := newPicker(200, 100, piece.NewBitfield(200))
	for id := range ID(10) {
		ours(p, id+1, all(200))
	}
	now := start
	p.Act(now)
	for id := range ID(grantedDown.base) {
		p.Choked(id+1, false, true)
	}
	acts := p.Act(now)
	for id := ID(grantedDown.base); id < 10; id++ {
		if k, _ := said(acts, id+1, Full, Want); k != Full {
			t.Fatalf("peer %d was told %v", id+1, k)
		}
	}
	p.Choked(1, true, true)
	acts = p.Act(now)
	for id := ID(grantedDown.base); id < 10; id++ {
		if k, _ := said(acts, id+1, Full, Want); k != Want {
			t.Fatalf("with room again peer %d was told %v", id+1, k)
		}
	}
}

// What a seed has shown to a receiver that then takes nothing is shown to the next one at once.
func TestShownPiecesAreFreeWhenTheGrantEnds(t *testing.T) {
	const n = 3
	p := newPicker(n, 10, all(n))
	ours(p, 1, piece.NewBitfield(n))
	shown := map[int]bool{}
	for range 2 {
		for _, a := range of(Reveal, p.Act(start)) {
			shown[a.Piece] = true
		}
	}
	if len(shown) != leastRevealed {
		t.Fatalf("the first is shown %v", shown)
	}
	p.Full(1, -1, start)
	if k, _ := said(p.Act(start), 1, Choke, Unchoke); k != Choke {
		t.Fatal("the grant did not end")
	}
	ours(p, 2, piece.NewBitfield(n))
	for _, a := range append(of(Reveal, p.Act(start.Add(tickEvery))), of(Reveal, p.Act(start.Add(tickEvery)))...) {
		if a.Peer != 2 || !shown[a.Piece] {
			t.Fatalf("then peer %d is shown piece %d, and %v wait", a.Peer, a.Piece, shown)
		}
		delete(shown, a.Piece)
	}
	if len(shown) > 0 {
		t.Fatalf("%v are shown to nobody else", shown)
	}
}

// A source that has nothing for us any more is dismissed, and asked back when it has.
func TestDrySource(t *testing.T) {
	p := newPicker(10, 100, bitfield(10, 0))
	ours(p, 1, bitfield(10, 0))
	ours(p, 2, bitfield(10, 1))
	now := start
	p.Choked(1, false, true)
	p.Choked(2, false, true)
	told := false
	for range 10 {
		k, ok := said(p.Act(now), 1, Full, Want)
		told = told || ok && k == Full
		now = now.Add(tickEvery)
	}
	if !told {
		t.Fatal("a source without anything was not dismissed")
	}
	p.Choked(1, true, true)
	if _, ok := said(p.Act(now), 1, Want); ok {
		t.Fatal("it was asked back though it has nothing")
	}
	p.PeerHas(1, 7)
	if _, ok := said(p.Act(now), 1, Want); !ok {
		t.Fatal("it was not asked back")
	}
}

// A seed shows its pieces only to those whom it serves, so nobody may dismiss it for good because it
// has shown nothing new; and it wants nothing itself.
func TestDrySeedIsAskedAgain(t *testing.T) {
	p := newPicker(10, 100, piece.NewBitfield(10))
	ours(p, 1, piece.NewBitfield(10))
	p.Choked(1, false, true)
	now, again := start, false
	for range 20 {
		k, ok := said(p.Act(now), 1, Full, Want)
		if ok && k == Full {
			p.Choked(1, true, true)
		}
		again = again || ok && k == Want
		now = now.Add(tickEvery)
	}
	if !again {
		t.Fatal("the seed was dismissed for good")
	}
	s := newPicker(10, 100, all(10))
	ours(s, 1, piece.NewBitfield(10))
	if k, _ := said(s.Act(start), 1, Full, Want); k != Full {
		t.Fatal("the seed did not say that it takes nothing")
	}
}
