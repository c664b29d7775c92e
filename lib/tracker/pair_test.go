// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// A whole deployment's worth of announces over real sockets: the receiver is told of the seed, two
// receivers of each other, and the tracker sees them come, finish and leave.
func TestClientAndServer(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			s := NewServer(ServerConfig{Torrents: []Tracked{{InfoHash: testHash, Size: 100, SeedPort: 6881}}})
			where := "http://" + listen(t, s, ip) + "/announce"
			changed, unsubscribe := s.Subscribe(0)
			defer unsubscribe()
			wait := func(what string, ok func([]Receiver) bool) {
				t.Helper()
				for late := time.After(60 * time.Second); !ok(s.Receivers(0)); {
					select {
					case <-changed:
					case <-late:
						t.Fatalf("never %s: %+v", what, s.Receivers(0))
					}
				}
			}
			one := startClient(t, where, 1, 7001)
			wait("joined", func(r []Receiver) bool { return len(r) == 1 && r[0].State == Joined && r[0].Left == 60 })
			two := startClient(t, where, 2, 7002)
			one.knows(t, ip, 6881, 7002)
			two.knows(t, ip, 6881, 7001)
			one.c.Completed()
			wait("done", func(r []Receiver) bool { return r[0].State == Done && r[0].Live })
			one.stop()
			two.stop()
			wait("gone", func(r []Receiver) bool { return r[0].State == Done && !r[0].Live && r[1].State == Gone })
			if n := s.rooms[0].peers.counts(time.Now()).finished; n != 1 {
				t.Errorf("%d finished", n)
			}
			if st := one.c.Status(); st[0].LastError != "" || st[0].LastOK.IsZero() {
				t.Errorf("status %+v", st)
			}
		})
	}
}

type running struct {
	c    *Client
	stop func()
	mu   sync.Mutex
	got  []netip.AddrPort
}

func startClient(t *testing.T, tracker string, id int, port uint16) *running {
	r := &running{}
	r.c = NewClient(ClientConfig{
		Trackers: []string{tracker}, InfoHash: testHash, PeerID: testID(id), Port: port,
		Stats: func() Stats { return Stats{Uploaded: 1, Downloaded: 40, Left: 60} },
		Peers: func(list []netip.AddrPort) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, list...)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.c.Run(ctx); close(done) }()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

func (r *running) knows(t *testing.T, ip string, ports ...uint16) {
	t.Helper()
	eventually(t, fmt.Sprintf("ports %v are known", ports), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range ports {
			if !slices.Contains(r.got, netip.AddrPortFrom(netip.MustParseAddr(ip), p)) {
				return false
			}
		}
		return true
	})
}
