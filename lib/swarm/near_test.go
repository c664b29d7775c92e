// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net/netip"
	"testing"
	"time"
)

func TestNear(t *testing.T) {
	s := segments{netip.MustParsePrefix("10.1.2.0/23"), netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix("192.0.2.7/32")}
	for addr, want := range map[string]bool{
		"10.1.2.9":        true,
		"10.1.3.255":      true,
		"::ffff:10.1.3.4": true,
		"10.1.4.1":        false,
		"fe80::1%eth7":    true,
		"2001:db8::1":     false,
		"192.0.2.8":       false,
	} {
		if got := s.near(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: near is %v", addr, got)
		}
	}
}

// Nobody fills his places by dialing: who comes later finds one. Those who are near are dialed all
// the same where others are not near.
func TestDialsLeavePlaces(t *testing.T) {
	near, far := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.0/24")
	for _, c := range []struct {
		name                  string
		near, far             int
		dialedNear, dialedFar int
		wantNear, wantFar     int
	}{
		{"a few", 3, 4, 0, 0, 3, 4},
		{"all are near", 100, 0, 0, 0, dialEnough, 0},
		{"nobody is near", 0, 100, 0, 0, 0, dialEnough},
		{"enough, and all are near", 100, 0, dialEnough, 0, 0, 0},
		{"enough, but not of the near", 10, 100, 0, dialEnough, 10, 0},
		{"many are near", 20, 100, 30, 5, 20, dialEnough - 5},
	} {
		l := &loop{book: newAddressBook(), segments: segments{near}, s: &Swarm{cfg: Config{MaxPeers: 128}}}
		add := func(p netip.Prefix, n, dialed int) {
			a := p.Addr()
			for i := range n + dialed {
				a = a.Next()
				at := netip.AddrPortFrom(a, 6881)
				l.book.add(at)
				if i >= n {
					l.book.entries[at].dialing = true
				}
			}
		}
		add(near, c.near, c.dialedNear)
		add(far, c.far, c.dialedFar)
		gotNear, gotFar := 0, 0
		for _, a := range l.toDial(time.Now(), c.dialedNear, c.dialedFar, nobody) {
			if near.Contains(a.Addr()) {
				gotNear++
			} else {
				gotFar++
			}
		}
		if gotNear != c.wantNear || gotFar != c.wantFar {
			t.Errorf("%s: dials %d near and %d far, want %d and %d", c.name, gotNear, gotFar, c.wantNear, c.wantFar)
		}
	}
}
