// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

func testRegistry(edit func(*ServerConfig)) (*registry, *clock) {
	c := newClock()
	cfg := ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Size: 1000}}, Now: c.now, Rand: testRand()}
	if edit != nil {
		edit(&cfg)
	}
	return NewServer(cfg).rooms[0].peers, c
}

func mustAnnounce(t *testing.T, g *registry, c *clock, v view, q query) reply {
	t.Helper()
	r, err := g.announce(c.now(), v, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func addrs(r reply) (list []string) {
	for _, p := range r.peers {
		list = append(list, p.addr.String())
	}
	slices.Sort(list)
	return list
}

func TestReceiverStates(t *testing.T) {
	type step struct {
		after time.Duration
		q     query
	}
	completed := query{id: testID(1), port: 1, event: shared.Completed}
	stopped := func(left int64) query { return missing(1, left).with(shared.Stopped, "") }
	tests := []struct {
		name     string
		steps    []step
		wait     time.Duration
		state    State
		live     bool
		finished int
	}{
		{"joins", []step{{0, missing(1, 900)}}, 0, Joined, true, 0},
		{"completes by event", []step{{0, missing(1, 900)}, {9, completed}}, 0, Done, true, 1},
		{"completes by left alone", []step{{0, missing(1, 900)}, {9, missing(1, 0)}}, 0, Done, true, 1},
		{"completes twice, counts once", []step{{0, missing(1, 900)}, {9, completed}, {9, completed}, {9, missing(1, 0)}}, 0, Done, true, 1},
		{"completes in its last word", []step{{0, missing(1, 900)}, {9, stopped(0)}}, 0, Done, false, 1},
		{"completes unknown to a tracker that was restarted", []step{{0, completed}}, 0, Done, true, 1},
		{"finished before the tracker was restarted", []step{{0, query{id: testID(1), port: 1, downloaded: 5}}}, 0, Done, true, 1},
		{"repairs a disk after it was done", []step{{0, missing(1, 900)}, {9, completed}, {9, missing(1, 5)}}, 0, Joined, true, 1},
		{"comes with everything", []step{{0, missing(1, 0)}}, 0, Done, true, 0},
		{"comes with everything and leaves", []step{{0, missing(1, 0)}, {9, stopped(0)}}, 0, Gone, false, 0},
		{"comes with everything, then finds damage and mends it", []step{{0, missing(1, 0)}, {9, missing(1, 7)}, {9, missing(1, 0)}}, 0, Done, true, 1},
		{"leaves", []step{{0, missing(1, 900)}, {9, stopped(500)}}, 0, Gone, false, 0},
		{"falls silent", []step{{0, missing(1, 900)}, {2e9, missing(1, 900)}}, time.Minute, Lost, false, 0},
		{"falls silent when done", []step{{0, missing(1, 900)}, {2e9, missing(1, 9)}, {2e9, completed}}, time.Minute, Done, false, 1},
		{"is slow to come back when done", []step{{0, missing(1, 900)}, {2e9, completed}}, 5 * time.Minute, Done, true, 1},
		{"comes back", []step{{0, missing(1, 900)}, {time.Hour, missing(1, 900)}}, 0, Joined, true, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, c := testRegistry(nil)
			for _, s := range test.steps {
				c.forward(s.after)
				mustAnnounce(t, g, c, from(1), s.q)
			}
			c.forward(test.wait)
			list := g.receivers(c.now())
			if len(list) != 1 || list[0].State != test.state || list[0].Live != test.live {
				t.Errorf("receivers %+v, want one: %v, live %v", list, test.state, test.live)
			}
			if n := g.counts(c.now()).finished; n != test.finished {
				t.Errorf("%d finished, want %d", n, test.finished)
			}
		})
	}
}

func TestUnknownPeerThatStopsLeavesNoTrace(t *testing.T) {
	g, c := testRegistry(nil)
	r := mustAnnounce(t, g, c, from(1), missing(1, 5).with(shared.Stopped, ""))
	if len(r.peers) != 0 || len(g.receivers(c.now())) != 0 {
		t.Errorf("answered %v, remembers %v", r, g.receivers(c.now()))
	}
}

// A peer that keeps to its interval is dropped after two and a half of them; one with a pace of
// its own is judged by that.
func TestSilentPeersExpire(t *testing.T) {
	alive := func(g *registry, c *clock) bool { return g.receivers(c.now())[0].Live }
	g, c := testRegistry(nil)
	mustAnnounce(t, g, c, from(1), missing(1, 9))
	c.forward(settleTime) // from here the interval is 30 s
	for range 2 {
		mustAnnounce(t, g, c, from(1), missing(1, 9))
		c.forward(30 * time.Second)
	}
	c.forward(45 * time.Second)
	if !alive(g, c) {
		t.Error("dropped within 2.5 intervals")
	}
	c.forward(time.Second)
	if alive(g, c) {
		t.Error("alive after 2.5 intervals")
	}
	if r := mustAnnounce(t, g, c, from(2), missing(2, 9)); len(r.peers) != 0 {
		t.Errorf("a dead peer is handed out: %v", addrs(r))
	}

	g, c = testRegistry(nil)
	for range 3 {
		mustAnnounce(t, g, c, from(1), missing(1, 9))
		c.forward(5 * time.Minute)
		if !alive(g, c) {
			t.Fatal("a peer that comes every five minutes was dropped")
		}
	}
	c.forward(10 * time.Minute)
	if alive(g, c) {
		t.Error("alive after ten minutes more")
	}
}

func TestInterval(t *testing.T) {
	g, c := testRegistry(nil)
	got := func() time.Duration { return mustAnnounce(t, g, c, from(1), missing(1, 9)).interval }
	if d := got(); d != shortInterval {
		t.Errorf("at first %v", d)
	}
	c.forward(settleTime)
	if d := got(); d != DefaultInterval {
		t.Errorf("when settled %v", d)
	}
	mustAnnounce(t, g, c, from(2), missing(2, 9))
	if d := got(); d != shortInterval {
		t.Errorf("after a newcomer %v", d)
	}
	if d := g.pace(c.now(), 8000); d != 40*time.Second {
		t.Errorf("with 8000 peers %v: more than %d announces a second", d, announceRate)
	}
}

func TestOnlyWhoCameMaySpeakForAPeer(t *testing.T) {
	g, c := testRegistry(nil)
	mustAnnounce(t, g, c, from(1), missing(1, 9).with(shared.Started, "secret"))
	mustAnnounce(t, g, c, from(2), missing(2, 9))
	for name, try := range map[string]struct {
		at int
		q  query
	}{
		"stop without the key":             {9, missing(1, 9).with(shared.Stopped, "")},
		"stop with another key":            {1, missing(1, 9).with(shared.Stopped, "guess")},
		"complete from another address":    {9, missing(2, 0).with(shared.Completed, "")},
		"a key where there was none":       {9, missing(2, 0).with(shared.Completed, "secret")},
		"move the address without the key": {9, missing(1, 9)},
	} {
		if _, err := g.announce(c.now(), from(try.at), try.q); !errors.Is(err, errNotYours) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range g.receivers(c.now()) {
		if p.State != Joined || p.Addr.Addr() == lan(9) {
			t.Errorf("changed: %+v", p)
		}
	}
	mustAnnounce(t, g, c, from(7), missing(1, 9).with(shared.None, "secret"))
	if p := g.receivers(c.now())[0]; p.Addr.Addr() != lan(7) {
		t.Errorf("with its key it is still at %v", p.Addr)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	g, c := testRegistry(func(cfg *ServerConfig) { cfg.MaxPeers, cfg.MaxPerAddr = 6, 4 })
	try := func(at, id int, e event) error {
		_, err := g.announce(c.now(), from(at), missing(id, 9).with(e, ""))
		return err
	}
	finish := func(at, id int) {
		mustAnnounce(t, g, c, from(at), missing(id, 9))
		mustAnnounce(t, g, c, from(at), missing(id, 0).with(shared.Stopped, ""))
	}
	finish(1, 1)
	for id := 2; id <= 4; id++ {
		if err := try(1, id, shared.None); err != nil {
			t.Fatal(err)
		}
	}
	// The address pays with its own dead, then not at all.
	if err := try(1, 5, shared.None); err != nil {
		t.Fatal(err)
	}
	if err := try(1, 6, shared.None); !errors.Is(err, errFullAddr) {
		t.Errorf("fifth at one address: %v", err)
	}
	// All pay with the dead, first with those who did not finish.
	finish(2, 7)
	if err := errors.Join(try(3, 8, shared.None), try(3, 8, shared.Stopped), try(4, 9, shared.None)); err != nil {
		t.Fatal(err)
	}
	if _, kept := g.byID[testID(7)]; !kept || g.byID[testID(8)] != nil {
		t.Error("who finished was forgotten before who only left")
	}
	if err := try(5, 10, shared.None); err != nil {
		t.Fatal(err)
	}
	if err := try(6, 11, shared.None); !errors.Is(err, errFull) {
		t.Errorf("seventh: %v", err)
	}
	if n := g.counts(c.now()).finished; len(g.peers) != 6 || len(g.byID) != 6 || n != 2 {
		t.Errorf("%d peers, %d ids, %d finished", len(g.peers), len(g.byID), n)
	}
}

func TestLeftIsAtMostTheImage(t *testing.T) {
	g, c := testRegistry(nil)
	mustAnnounce(t, g, c, from(1), missing(1, 1<<63-1))
	if p := g.receivers(c.now())[0]; p.Left != 1000 {
		t.Errorf("left %d of 1000", p.Left)
	}
}

func TestSubscribe(t *testing.T) {
	g, c := testRegistry(nil)
	changed, stop := g.subscribe()
	woken := func() bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	for i := range 3 {
		mustAnnounce(t, g, c, from(i), missing(i, 9))
	}
	if !woken() || woken() {
		t.Error("three changes did not come as one")
	}
	c.forward(time.Hour)
	g.counts(c.now())
	if !woken() {
		t.Error("not told of the lost")
	}
	stop()
	if mustAnnounce(t, g, c, from(1), missing(1, 9)); woken() {
		t.Error("told after the subscription ended")
	}
}

func BenchmarkAnnounceAmong10000(b *testing.B) {
	g, c := testRegistry(func(cfg *ServerConfig) { cfg.MaxPeers = 10000 })
	for i := range 10000 {
		if _, err := g.announce(c.now(), from(i), missing(i, 9)); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		if _, err := g.announce(c.now(), from(i%10000), missing(i%10000, 9)); err != nil {
			b.Fatal(err)
		}
	}
}
