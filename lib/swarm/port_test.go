// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ezio/lib/metainfo"
	"ezio/lib/store"
	"ezio/lib/wire"
)

func listenPort(t *testing.T) *Port {
	t.Helper()
	p, err := Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// images are torrents of different sizes, hence of different infohashes.
func images(t *testing.T, n int) (tors []*metainfo.Torrent, disks []*ram) {
	for i := range n {
		tor, disk := image(t, 16+i, 64<<10)
		tors, disks = append(tors, tor), append(disks, disk)
	}
	return tors, disks
}

// Three torrents on one port of the seed's are received at one port of the receiver's.
func TestSeveralTorrentsShareAPort(t *testing.T) {
	tors, disks := images(t, 3)
	from, to := listenPort(t), listenPort(t)
	var got []*ram
	var all []*Swarm
	for i, tor := range tors {
		seed := begin(t, tor, store.NewSource(tor, disks[i], "seed"), Config{Port: from})
		d := &ram{b: make([]byte, len(disks[i].b))}
		s := begin(t, tor, store.New(tor, d, "target"), Config{Port: to})
		if seed.Port() != from.Number() || s.Port() != to.Number() {
			t.Fatalf("ports %d and %d, not %d and %d", seed.Port(), s.Port(), from.Number(), to.Number())
		}
		// The seed dials, so that its own port is not the only one to dispatch.
		if i == 0 {
			seed.AddPeers([]netip.AddrPort{addr(s)})
		} else {
			s.AddPeers([]netip.AddrPort{addr(seed)})
		}
		got, all = append(got, d), append(all, s)
	}
	for i, s := range all {
		if err := wait(t, s); err != nil {
			t.Fatalf("torrent %d: %v", i, err)
		}
		s.Close()
		same(t, tors[i], disks[i], got[i])
	}
}

// A swarm that leaves takes no other with it, and its torrent is unknown from then on.
func TestSwarmLeavesAPort(t *testing.T) {
	tors, disks := images(t, 2)
	p := listenPort(t)
	gone := begin(t, tors[0], store.NewSource(tors[0], disks[0], "seed"), Config{Port: p})
	stays := begin(t, tors[1], store.NewSource(tors[1], disks[1], "seed"), Config{Port: p})
	visit(t, tors[0], gone).next("a piece to ask for", is(wire.Have))
	gone.Close()
	wantHungUp(t, p, wire.NewHandshake(tors[0].InfoHash, [20]byte{'x'}))
	visit(t, tors[1], stays).next("a piece to ask for", is(wire.Have))
	back := begin(t, tors[0], store.NewSource(tors[0], disks[0], "seed"), Config{Port: p})
	visit(t, tors[0], back).next("a piece to ask for", is(wire.Have))
}

func TestATorrentIsOnAPortOnce(t *testing.T) {
	tor, disk := image(t, 4, 64<<10)
	p := listenPort(t)
	begin(t, tor, store.NewSource(tor, disk, "seed"), Config{Port: p})
	twin := New(tor, store.NewSource(tor, disk, "seed"), Config{Port: p})
	if err := twin.Start(); !errors.Is(err, ErrSameTorrent) {
		t.Fatalf("error %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	p := listenPort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", p.Number())
	if _, err := Listen(addr, nil); err == nil || err.Error() != "listen on "+addr+": address already in use" {
		t.Fatalf("error %v", err)
	}
}

// wantHungUp is a handshake that gets no answer but the end.
func wantHungUp(t *testing.T, p *Port, hs wire.Handshake) {
	t.Helper()
	nc := dial(t, p, "127.0.0.1")
	if err := wire.WriteHandshake(nc, hs); err != nil {
		t.Fatal(err)
	}
	ended(t, nc, handshakeTimeout/2)
}

// dial connects from an address of this machine.
func dial(t *testing.T, p *Port, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.Number()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// ended is a connection that is closed within that time and has said nothing.
func ended(t *testing.T, nc net.Conn, within time.Duration) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(within))
	if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestUnknownTorrentIsHungUpOn(t *testing.T) {
	tors, disks := images(t, 2)
	p := listenPort(t)
	begin(t, tors[0], store.NewSource(tors[0], disks[0], "seed"), Config{Port: p})
	wantHungUp(t, p, wire.NewHandshake(tors[1].InfoHash, [20]byte{'x'}))
}

// Connections that say nothing, or half a handshake, use up the places of their own address only,
// and not for long.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	tor, disk := image(t, 4, 64<<10)
	p := listenPort(t)
	s := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{Port: p})
	var silent []net.Conn
	for i := range maxShakingFrom {
		nc := dial(t, p, "127.0.0.2")
		if i%2 == 0 {
			nc.Write([]byte("\x13BitTorrent protocol"))
		}
		silent = append(silent, nc)
	}
	eventually(t, handshakeTimeout, "all are admitted", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.from[netip.MustParseAddr("127.0.0.2")] == maxShakingFrom
	})
	ended(t, dial(t, p, "127.0.0.2"), handshakeTimeout/2) // one too many
	visit(t, tor, s).next("a piece to ask for", is(wire.Have))
	for _, nc := range silent {
		ended(t, nc, handshakeTimeout+30*time.Second)
	}
	hs := wire.NewHandshake(tor.InfoHash, [20]byte{'x'})
	nc := dial(t, p, "127.0.0.2")
	if err := wire.WriteHandshake(nc, hs); err != nil {
		t.Fatal(err)
	}
	nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := wire.ReadHandshake(nc); err != nil {
		t.Fatalf("the address is never welcome again: %v", err)
	}
}

// Many addresses together cannot use up more than all places.
func TestUnfinishedHandshakesAreCounted(t *testing.T) {
	p := listenPort(t)
	for i := range maxShaking {
		dial(t, p, fmt.Sprintf("127.0.1.%d", 1+i%16))
	}
	eventually(t, handshakeTimeout, "all are admitted", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.shaking) == maxShaking
	})
	ended(t, dial(t, p, "127.0.0.3"), handshakeTimeout/2)
}

// What two swarms upload under one throttle is bounded together.
func TestThrottleIsShared(t *testing.T) {
	tors, disks := images(t, 2)
	p, bound := listenPort(t), NewThrottle(2<<20, 0)
	var all []*Swarm
	start := time.Now()
	for i, tor := range tors {
		seed := begin(t, tor, store.NewSource(tor, disks[i], "seed"), Config{Port: p, Throttle: bound})
		s := begin(t, tor, store.New(tor, &ram{b: make([]byte, len(disks[i].b))}, "target"), Config{})
		s.AddPeers([]netip.AddrPort{addr(seed)})
		all = append(all, s)
	}
	total := int64(0)
	for i, s := range all {
		if err := wait(t, s); err != nil {
			t.Fatal(err)
		}
		total += tors[i].Layout.Size
	}
	least := time.Duration(float64(total-burst) / (2 << 20) * float64(time.Second))
	if took := time.Since(start); took < least {
		t.Fatalf("%d bytes took %v, less than %v", total, took, least)
	}
}

func TestSlowStart(t *testing.T) {
	begun := time.Now()
	for _, c := range []struct {
		limit int64
		after time.Duration
		want  rate.Limit
	}{
		{0, 0, 10e6}, {0, 9 * time.Second, 10e6}, {0, 10 * time.Second, 20e6}, {0, 99 * time.Second, 100e6},
		{0, 100 * time.Second, rate.Inf}, {25e6, 15 * time.Second, 20e6}, {25e6, 25 * time.Second, 25e6},
	} {
		bound := NewThrottle(c.limit, 10*time.Second)
		bound.begin(begun)
		bound.begin(begun.Add(time.Hour)) // another swarm
		if got := bound.limit(begun.Add(c.after)); got != c.want {
			t.Errorf("limit %d, after %v: %v, want %v", c.limit, c.after, got, c.want)
		}
	}
}
