// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/anacrolix/torrent/tracker/shared"
)

func TestPickNeverSelfNorStoppedNorOthersOfASeed(t *testing.T) {
	g, c := testRegistry(nil)
	for i := 1; i <= 4; i++ {
		mustAnnounce(t, g, c, from(i), missing(i, 9))
	}
	mustAnnounce(t, g, c, from(5), missing(5, 0))
	mustAnnounce(t, g, c, from(7), missing(7, 0))
	mustAnnounce(t, g, c, from(4), missing(4, 9).with(shared.Stopped, ""))
	tests := []struct {
		name string
		v    view
		q    query
		want string
	}{
		{"receiver", from(1), missing(1, 9), "[10.0.0.2:6881 10.0.0.3:6881 10.0.0.5:6881 10.0.0.7:6881]"},
		{"seed", from(5), missing(5, 0), "[10.0.0.1:6881 10.0.0.2:6881 10.0.0.3:6881]"},
		{"restarted under a new id at the same place", from(1), missing(6, 9), "[10.0.0.2:6881 10.0.0.3:6881 10.0.0.5:6881 10.0.0.7:6881]"},
		{"goodbye", from(2), missing(2, 9).with(shared.Stopped, ""), "[]"},
		{"nobody wanted", from(3), query{id: testID(3), port: 6881, left: 9}, "[]"},
	}
	for _, test := range tests {
		if got := fmt.Sprint(addrs(mustAnnounce(t, g, c, test.v, test.q))); got != test.want {
			t.Errorf("%s: given %s, want %s", test.name, got, test.want)
		}
	}
}

// Each asker draws its own random selection, and every peer comes up.
func TestPickIsRandom(t *testing.T) {
	draw := func() (first string, seen map[string]int) {
		g, c := testRegistry(nil)
		for i := 1; i <= 100; i++ {
			mustAnnounce(t, g, c, from(i), missing(i, 9))
		}
		seen = map[string]int{}
		for i := range 200 {
			q := missing(1, 9)
			q.numwant = 10
			r := mustAnnounce(t, g, c, from(1), q)
			if list := addrs(r); len(list) != 10 || len(slices.Compact(list)) != 10 {
				t.Fatalf("draw %d: %v", i, list)
			}
			for _, a := range addrs(r) {
				seen[a]++
			}
			if i == 0 {
				first = fmt.Sprint(r.peers)
			}
		}
		return first, seen
	}
	one, seen := draw()
	two, _ := draw()
	if one != two {
		t.Error("the same random numbers gave different peers")
	}
	if len(seen) != 99 { // each is expected 20 times
		t.Errorf("%d of 99 peers were ever handed out", len(seen))
	}
	for a, n := range seen {
		if n < 5 || n > 45 {
			t.Errorf("%s was handed out %d times in 200 draws of 10 from 99", a, n)
		}
	}
}

// The seed is where the asker reached us; so is a receiver that runs on the seed's machine.
func TestAddressesAsTheAskerSeesThem(t *testing.T) {
	ip := netip.MustParseAddr
	g, c := testRegistry(nil)
	mustAnnounce(t, g, c, view{from: ip("127.0.0.1"), local: ip("127.0.0.1")}, missing(1, 9))
	mustAnnounce(t, g, c, view{from: ip("fe80::5"), local: ip("fe80::1")}, missing(2, 9))
	tests := []struct{ from, local, want string }{
		{"10.0.0.7", "10.0.0.1", "[10.0.0.1:4000 10.0.0.1:6881]"},
		{"fd00::7", "fd00::1", "[[fd00::1]:4000 [fd00::1]:6881]"},
		{"fe80::7", "fe80::1", "[[fe80::1]:4000 [fe80::1]:6881 [fe80::5]:6881]"},
		{"127.0.0.1", "127.0.0.1", "[127.0.0.1:4000 127.0.0.1:6881]"},
	}
	for _, test := range tests {
		q := missing(3, 9)
		q.port, q.key = 999, "k"
		r := mustAnnounce(t, g, c, view{ip(test.from), ip(test.local), 4000}, q)
		if got := fmt.Sprint(addrs(r)); got != test.want {
			t.Errorf("asked from %s at %s: given %s, want %s", test.from, test.local, got, test.want)
		}
	}
	q := missing(4, 0)
	if r := mustAnnounce(t, g, c, view{ip("10.0.0.9"), ip("10.0.0.1"), 4000}, q); r.peers[0].addr.Port() == 4000 {
		t.Error("one who has everything is sent to the seed")
	}
	if r := mustAnnounce(t, g, c, view{from: ip("10.0.0.8"), seed: 4000}, missing(5, 9)); fmt.Sprint(addrs(r)) != "[10.0.0.9:6881]" {
		t.Errorf("without an address of our own: %v", addrs(r))
	}
}

// Half of an answer are machines of the asker's own network, as long as there are so many, and the
// other half are not: a rack is neither strangers to each other nor an island.
func TestNeighboursComeFirst(t *testing.T) {
	at := func(s string) view { return view{from: netip.MustParseAddr(s)} }
	g, c := testRegistry(nil)
	for i := range 200 {
		mustAnnounce(t, g, c, at(fmt.Sprintf("10.0.%d.%d", 1+i/20, 1+i%20)), missing(1+i, 9))
	}
	for want, near := range map[int]int{10: 5, 30: 15, 60: 19} {
		q := missing(1, 9)
		q.numwant = want
		got := 0
		list := mustAnnounce(t, g, c, at("10.0.1.1"), q).peers
		for _, p := range list {
			if neighbours(p.addr.Addr(), netip.MustParseAddr("10.0.1.1")) {
				got++
			}
		}
		if len(list) != want || got < near || got > near+4 {
			t.Errorf("of %d peers %d are neighbours, want about %d of %d", len(list), got, near, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10.0.0.1", "10.0.0.200", true}, {"10.0.0.1", "10.0.1.1", false}, {"::ffff:10.0.0.1", "10.0.0.2", true},
		{"fe80::1%eth0", "fe80::2", true}, {"2001:db8::1", "2001:db8:0:1::1", false}, {"10.0.0.1", "::1", false},
	} {
		if got := neighbours(netip.MustParseAddr(c.a), netip.MustParseAddr(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
