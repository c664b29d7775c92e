// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"ezio/lib/picker"
	"ezio/lib/store"
)

// A waitingRoom is a swarm's loop with connections that do nothing by themselves.
type waitingRoom struct {
	*loop
	t *testing.T
}

func newWaitingRoom(t *testing.T, places int) waitingRoom {
	tor, disk := image(t, 4, 64<<10)
	s := New(tor, store.NewSource(tor, disk, "seed"), Config{MaxPeers: places})
	return waitingRoom{s.loop, t}
}

// come is a connection from an address, made so long ago.
func (w waitingRoom) come(addr string, outgoing bool, ago time.Duration) *conn {
	here, there := net.Pipe()
	w.t.Cleanup(func() { here.Close(); there.Close() })
	w.next++
	a := netip.MustParseAddrPort(addr)
	c := &conn{s: w.s, nc: here, addr: a, who: identity(a), outgoing: outgoing, id: w.next, joined: day.Add(-ago)}
	w.conns[c.id] = c
	w.pick.Join(c.id, picker.Traits{})
	return c
}

func (w waitingRoom) admits(addr string, outgoing bool) bool {
	a := netip.MustParseAddrPort(addr)
	return w.makeRoom(&conn{addr: a, who: identity(a), outgoing: outgoing}, day)
}

func (w waitingRoom) there(c *conn) bool { return w.conns[c.id] == c }

func TestUselessMakePlaceForOthers(t *testing.T) {
	w := newWaitingRoom(t, 16)
	useful := w.come("10.0.0.1:1", false, time.Hour)
	useful.moved.Store(day.Add(-idleAfter / 2).UnixNano())
	var strangers []*conn
	for i := range 13 { // of 16 places, two are for those that we dial
		strangers = append(strangers, w.come(fmt.Sprintf("10.0.1.%d:1", i), false, uselessAfter+time.Duration(i)*time.Second))
	}
	if !w.admits("10.0.0.2:1", true) || len(w.conns) != 14 {
		t.Fatal("the places for those that we dial are not kept")
	}
	if !w.admits("10.0.0.2:1", false) {
		t.Fatal("strangers keep all places")
	}
	if w.there(strangers[12]) || len(w.conns) != 13 {
		t.Fatal("it is not the one that was idle longest")
	}
	for _, c := range strangers {
		c.joined = day.Add(-uselessAfter / 2)
	}
	w.come("10.0.0.2:1", false, 0)
	if w.admits("10.0.0.3:1", false) {
		t.Fatal("one that has just come is thrown out")
	}
	useful.moved.Store(day.Add(-2 * idleAfter).UnixNano())
	if !w.admits("10.0.0.3:1", false) || w.there(useful) {
		t.Fatal("one that is idle for long keeps its place")
	}
}

func TestOneAddressHasFewPlaces(t *testing.T) {
	w := newWaitingRoom(t, 128)
	for i := range maxIdle {
		w.come("10.0.0.9:1", false, time.Duration(i)*time.Millisecond)
	}
	if w.admits("10.0.0.9:2", false) {
		t.Fatal("one address has more idle connections than it may")
	}
	if !w.admits("10.0.0.8:1", false) || len(w.conns) != maxIdle {
		t.Fatal("that is no reason to refuse others")
	}
	oldest := w.come("10.0.0.9:3", false, time.Minute)
	if !w.admits("10.0.0.9:4", false) || w.there(oldest) {
		t.Fatal("a new one does not stand in for an old one")
	}
	w = newWaitingRoom(t, 128)
	for range maxFromOne {
		w.come("10.0.0.9:1", false, time.Minute).moved.Store(day.UnixNano())
	}
	if w.admits("10.0.0.9:2", false) {
		t.Fatal("there is no end to the connections of one address")
	}
	w = newWaitingRoom(t, 128)
	for i := range 2 * maxFromOne { // on this machine each port is somebody else
		w.come(fmt.Sprintf("127.0.0.1:%d", 1000+i), false, 0)
	}
	if !w.admits("127.0.0.1:1", false) {
		t.Fatal("this machine is taken for one peer")
	}
}

func TestPlacesFollowDescriptors(t *testing.T) {
	for files, want := range map[int64]int{64: 20, 1024: defaultPeers, 20: leastPeers} {
		if got := maxPeers(files); got != want {
			t.Errorf("%d places with %d descriptors", got, files)
		}
	}
}
