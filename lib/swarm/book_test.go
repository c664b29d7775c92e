// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net/netip"
	"testing"
	"time"
)

func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 6881)
}

// However many dead addresses there are, every other gets its turn.
func TestDeadAddressesKeepNobodyWaiting(t *testing.T) {
	b := newAddressBook()
	for i := range 200 {
		b.add(at(i))
	}
	now := time.Unix(1000, 0)
	tried := map[netip.AddrPort]int{}
	for range 30 {
		list := b.due(now, 1000, nobody)
		if len(list) > maxDialing {
			t.Fatalf("%d dials at a time", len(list))
		}
		for _, a := range list {
			b.dialing(a, now)
			tried[a]++
		}
		if len(b.due(now, 1000, nobody)) != 0 {
			t.Fatal("more dials while those are under way")
		}
		now = now.Add(handshakeTimeout)
		for _, a := range list {
			b.dialed(a)
		}
	}
	for i := range 200 {
		if n := tried[at(i)]; n < 3 {
			t.Fatalf("%v was tried %d times in 150 s", at(i), n)
		}
	}
}

func TestAddressesAreTriedAgain(t *testing.T) {
	b := newAddressBook()
	now := time.Unix(1000, 0)
	b.add(at(1))
	var waits []time.Duration
	for range 5 {
		if len(b.due(now, 10, nobody)) != 1 {
			t.Fatal("not due")
		}
		b.dialing(at(1), now)
		b.dialed(at(1))
		from := now
		for len(b.due(now, 10, nobody)) == 0 {
			now = now.Add(time.Second)
		}
		waits = append(waits, now.Sub(from))
	}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, lastRetry, lastRetry} {
		if waits[i] != want {
			t.Fatalf("waits %v", waits)
		}
	}
}

// Who connected to us, and at whose address we met the same peer, is not dialed while it is here.
func TestConnectedPeerIsNotDialed(t *testing.T) {
	b := newAddressBook()
	b.add(at(1))
	now := time.Unix(1000, 0)
	in := &conn{addr: netip.AddrPortFrom(at(1).Addr(), 40000)}
	b.connected(in) // it did not say where it listens
	b.dialing(at(1), now)
	b.sameAs(in, &conn{addr: at(1), outgoing: true})
	b.dialed(at(1))
	now = now.Add(time.Hour)
	if len(b.due(now, 10, nobody)) != 0 {
		t.Fatal("it is dialed although it is connected")
	}
	b.disconnected(in)
	if len(b.due(now, 10, nobody)) != 1 {
		t.Fatal("it is not dialed after it left")
	}
}

func nobody(netip.AddrPort) bool { return false }
