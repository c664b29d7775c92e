// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"math/rand/v2"
	"testing"
	"time"

	"ezio/lib/piece"
)

// rack makes the pickers of so many machines of one segment, each with the others as near peers and one
// far peer, 99, that has all pieces.
func rack(machines, pieces int) []*Picker {
	var list []*Picker
	for m := range machines {
		p := New(Config{
			Layout: piece.Layout{Length: length, Size: int64(pieces) * length},
			Have:   piece.NewBitfield(pieces), Budget: pieces, Rand: rand.New(rand.NewPCG(1, 1)), Key: uint64(m + 1),
		})
		for o := range machines {
			if o != m {
				p.Join(ID(o+1), Traits{Block: length, Offers: true, Near: true, Key: uint64(o + 1)})
			}
		}
		p.Join(99, Traits{Block: length, Queue: pieces, Offers: true, Key: 99})
		p.PeerBitfield(99, all(pieces))
		p.Act(start)
		p.Choked(99, false, true)
		list = append(list, p)
	}
	return list
}

// fetched lets a far peer bring all that it is asked for at once, and says what that was.
func fetched(p *Picker, now time.Time) (pieces []int) {
	for range 1000 {
		asked := of(Request, p.Act(now))
		if len(asked) == 0 {
			return pieces
		}
		for _, a := range asked {
			if p.Received(a.Peer, a.Block, now) {
				pieces = append(pieces, int(a.Block.Piece))
				p.Verified(int(a.Block.Piece))
			}
		}
	}
	return pieces
}

func TestEachPieceEntersASegmentOnce(t *testing.T) {
	const machines, pieces = 8, 200
	times := make([]int, pieces)
	most := 0
	for _, p := range rack(machines, pieces) {
		list := fetched(p, start)
		most = max(most, len(list))
		for _, i := range list {
			times[i]++
		}
	}
	for i, n := range times {
		if n != 1 {
			t.Errorf("piece %d is fetched from far by %d machines", i, n)
		}
	}
	if most > 3*pieces/machines {
		t.Errorf("one of %d machines brings in %d of %d pieces", machines, most, pieces)
	}
}

func TestWhatIsNearIsNotFetchedFromFar(t *testing.T) {
	const pieces = 50
	p := rack(2, pieces)[0]
	p.PeerBitfield(2, all(pieces)) // but it does not serve us yet
	if got := fetched(p, start); len(got) != 0 {
		t.Errorf("fetched from far: %v", got)
	}
	// It was told that we take nothing, and ended its grant. Who gets nothing at all from near asks for
	// it back, and takes what he can.
	now := start.Add(2 * patience)
	p.Act(now)
	p.Choked(99, true, true)
	wanted := false
	for range 20 {
		now = now.Add(tickEvery)
		_, ok := said(p.Act(now), 99, Want)
		wanted = wanted || ok
	}
	if !wanted {
		t.Fatal("does not want anything from far")
	}
	p.Choked(99, false, true)
	if got := fetched(p, now); len(got) == 0 {
		t.Error("starves beside a far peer that has everything")
	}
}

func TestOneSegmentHasNobodyFar(t *testing.T) {
	p := newPicker(10, 10, piece.NewBitfield(10))
	for id := range ID(3) {
		p.Join(id+1, Traits{Block: length, Offers: true, Key: uint64(id)}) // none of them near
		p.PeerBitfield(id+1, all(10))
		p.Act(start)
		p.Choked(id+1, false, true)
	}
	if got := fetched(p, start); len(got) != 10 {
		t.Errorf("fetched %v", got)
	}
}

// Two who prefer each other do so on both sides, whatever the order in which they met.
func TestPreferenceIsMutual(t *testing.T) {
	best := func(me uint64, reverse bool) (k uint64) {
		p := New(Config{Layout: piece.Layout{Length: length, Size: 10 * length}, Have: all(10), Budget: 1, Rand: rand.New(rand.NewPCG(me, 1)), Key: me})
		for o := range uint64(20) {
			if reverse {
				o = 19 - o
			}
			if o != me {
				p.Join(ID(o+1), Traits{Block: length, Offers: true, Key: o})
			}
		}
		return p.bestGrant().tr.Key
	}
	mutual := 0
	for a := range uint64(20) {
		b := best(a, false)
		if b != best(a, true) {
			t.Errorf("%d prefers another when they come in another order", a)
		}
		if best(b, false) == a {
			mutual++
		}
	}
	if mutual < 6 { // by chance alone it would be one
		t.Errorf("of 20 only %d are preferred by whom they prefer", mutual)
	}
}
