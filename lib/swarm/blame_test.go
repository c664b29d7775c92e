// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var day = time.Unix(1e9, 0)

func peerNo(i int) netip.AddrPort {
	return identity(netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:6881", i)))
}

// What is held against peer 1, and whether it is banned for it.
func TestBlame(t *testing.T) {
	for _, c := range []struct {
		name   string
		others weight // grains that all others brought
		right  int64
		wrong  int // pieces, of a grain each
		want   bool
	}{
		{"one flipped bit", weight{}, 0, 1, false},
		{"nothing but wrong", weight{}, 0, 2, true},
		{"one flipped bit among honest peers", weight{right: 10_000}, 100, 1, false},
		{"two wrong where nobody else sends any", weight{right: 2000}, 400, 2, true},
		{"a tenth wrong, no others", weight{}, 40, 4, true},
		{"a tenth wrong on a noisy network", weight{1000, 11}, 90, 10, true},
		{"as noisy as everybody", weight{1000, 11}, 270, 3, false},
		{"noisy, no others", weight{}, 270, 3, false},
		{"the only bad link in a clean network", weight{right: 4000}, 500, 5, true},
	} {
		b := newBlame()
		for i := range 4 {
			b.of(peerNo(2+i), day).weight = weight{c.others.right / 4, c.others.wrong / 4}
		}
		b.of(peerNo(2), day).weight.wrong += c.others.wrong % 4
		if c.right > 0 {
			b.good(peerNo(1), c.right, day)
		}
		got := false
		for range c.wrong {
			got = b.bad(peerNo(1), weight{0, 1}, false, day)
		}
		if got != c.want {
			t.Errorf("%s: banned %v", c.name, got)
		}
	}
}

// Where one packet in a thousand is wrong, one grain in ninety is. Hardly any of seven
// peers is ever banned, and the one that corrupts a tenth is.
func TestBlameOnANoisyNetwork(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := newBlame()
	bans := map[int]int{}
	for range 20_000 {
		i := 1 + rng.IntN(8)
		share := 90
		if i == 8 {
			share = 10
		}
		wrong := 0
		for range 16 {
			if rng.IntN(share) == 0 {
				wrong++
			}
		}
		if b.banned(peerNo(i), day) {
			continue
		}
		if wrong == 0 {
			b.good(peerNo(i), 16, day)
		} else if b.bad(peerNo(i), weight{int64(16 - wrong), int64(wrong)}, false, day) {
			b.ban(peerNo(i), day)
			bans[i]++
		}
	}
	// Of two pieces at the very beginning both are wrong in one case of thirty.
	if len(bans) > 2 || bans[8] == 0 {
		t.Errorf("banned: %v", bans)
	}
}

func TestBansEndAndGrow(t *testing.T) {
	b := newBlame()
	now, last := day, time.Duration(0)
	for range 10 {
		d := b.ban(peerNo(1), now)
		if d < last || last > 0 && d == last && d != lastBan || d > lastBan {
			t.Fatalf("a ban of %v after one of %v", d, last)
		}
		if !b.banned(peerNo(1), now.Add(d-1)) || b.banned(peerNo(1), now.Add(d)) || b.banned(peerNo(2), now) {
			t.Fatal("it does not last as long as it should")
		}
		now, last = now.Add(d), d
		if b.bad(peerNo(1), weight{0, 1}, false, now) {
			t.Fatal("what it was banned for counts again")
		}
	}
}

func TestNuisances(t *testing.T) {
	b := newBlame()
	now := day
	for range 20 { // one now and then happens to anybody
		if b.nuisance(peerNo(1), now) {
			t.Fatal("banned")
		}
		now = now.Add(nuisanceTime / 3)
	}
	for i := range nuisancesToBan {
		if b.nuisance(peerNo(2), now) != (i == nuisancesToBan-1) {
			t.Fatalf("after %d", i+1)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	b := newBlame()
	for i := range 3 * maxRecords {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		b.good(netip.AddrPortFrom(a, 0), 1, day.Add(time.Duration(i)))
	}
	if len(b.peers) > maxRecords {
		t.Fatal(len(b.peers))
	}
}

// Who sent what is known when the right piece is here.
func TestEvidence(t *testing.T) {
	e := newEvidence()
	right := make([]byte, 4*grain-100)
	rand.NewChaCha8([32]byte{1}).Read(right)
	wrong := append([]byte(nil), right...)
	wrong[grain+5] ^= 1
	wrong[len(right)-1] ^= 1
	a, b, c := peerNo(1), peerNo(2), peerNo(3)
	var mixed contributors
	mixed.by = make([]uint16, 4)
	for g, who := range []netip.AddrPort{a, b, a, c} {
		mixed.mark(g, who)
	}
	if v := e.wrong(7, wrong, mixed); len(v.bad) != 0 {
		t.Fatalf("blamed at once: %+v", v.bad)
	}
	alone := contributors{who: []netip.AddrPort{c}, by: make([]uint16, 4)}
	if v := e.wrong(7, wrong, alone); len(v.bad) != 1 || v.bad[0] != (share{c, weight{3, 1}, false}) {
		t.Fatalf("it sent all of it: %+v", v.bad)
	}
	v := e.right(7, right, mixed)
	want := map[share]bool{{b, weight{0, 1}, false}: true, {c, weight{0, 1}, false}: true, {c, weight{-1, 1}, true}: true}
	for _, s := range v.bad {
		if !want[s] {
			t.Errorf("blamed %+v", s)
		}
		delete(want, s)
	}
	if len(want) != 0 {
		t.Errorf("not blamed: %v", want)
	}
	if len(v.good) != 3 || v.good[0] != (share{a, weight{2, 0}, false}) {
		t.Errorf("right: %+v", v.good)
	}
	if v := e.right(7, right, mixed); len(v.bad) != 0 {
		t.Error("blamed twice")
	}
	for i := range 3 * maxEvidence {
		e.wrong(i, wrong, mixed)
	}
	if len(e.pieces) != maxEvidence || len(e.order) != maxEvidence {
		t.Errorf("evidence of %d pieces is kept", len(e.pieces))
	}
}
