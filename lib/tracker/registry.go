// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

// State is what has become of a receiver.
type State string

const (
	Joined State = "joined" // announces, and still misses bytes
	Done   State = "done"   // has every byte, whether it still announces or not
	Gone   State = "gone"   // said stopped before it had every byte
	Lost   State = "lost"   // fell silent before it had every byte
)

// A Receiver is what the tracker knows of one peer.
type Receiver struct {
	ID         [20]byte       // peer id
	Key        string         // BEP 7: what only the peer itself knows beside its id; may be empty
	Addr       netip.AddrPort // where it can be reached: its connection's address, its own port
	Left       int64          // bytes missing, by its own account
	Uploaded   int64          // bytes, by its own account
	Downloaded int64          // bytes, by its own account
	FirstSeen  time.Time
	LastSeen   time.Time
	Completed  time.Time // when it first reported the end of its download; zero: it has not
	Seed       bool      // it had everything when it came, so it received nothing here
	Live       bool      // it announces; false once stopped or silent
	State      State
}

// How long a silent peer is believed. One that keeps to the interval it was given is dropped
// after two and a half of them. How long a newcomer leaves between announces is not known until
// it has come twice (libtorrent, for one, asks no tracker more often than every five minutes), so
// it is given longer, and whoever comes at his own pace is measured by that.
const (
	patienceFactor = 2.5
	patienceMin    = 15 * time.Second
	patienceFirst  = 6 * time.Minute
	patienceMax    = 15 * time.Minute
)

// announceRate is how many announces a second, of all peers together, an interval may cause.
const announceRate = 200

var (
	errNotYours = errors.New("this peer_id was announced by somebody else")
	errFull     = errors.New("tracker is full")
	errFullAddr = errors.New("too many peers at your address")
)

// registry is the peers of one torrent and what they report. It has no clock: each call says what
// time it is.
type registry struct {
	size             int64 // bytes of the image, to clamp what peers say; 0: unknown
	interval, short  time.Duration
	settle           time.Duration // how long after a newcomer the short interval holds
	maxPeers, maxPer int

	mu       sync.Mutex
	rand     *rand.Rand
	byID     map[[20]byte]*peer
	peers    []*peer // all, dead ones included, in the order they came
	finished int
	newest   time.Time // when somebody new last came
	expired  time.Time // when expire last looked
	subs     map[chan struct{}]struct{}
	scratch  []*peer
}

type peer struct {
	Receiver // its Key shows that a changed address is still the same peer
	patience time.Duration
	stopped  bool
}

// announce takes one announce into account and answers it.
func (g *registry) announce(now time.Time, v view, q query) (reply, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	p, err := g.seen(now, v.from, q)
	if err != nil {
		return reply{}, err
	}
	r := g.pick(v, q)
	r.interval = g.pace(now, r.complete+r.incomplete)
	if p != nil {
		p.patience = max(p.patience, scale(r.interval))
	}
	return r, nil
}

// seen updates or makes the peer that q is about; nil when it was unknown and says goodbye.
func (g *registry) seen(now time.Time, from netip.Addr, q query) (*peer, error) {
	p := g.byID[q.id]
	switch {
	case p == nil && q.event == shared.Stopped:
		return nil, nil
	case p == nil:
		if err := g.makeRoom(from); err != nil {
			return nil, err
		}
		p = &peer{patience: patienceFirst}
		p.ID, p.Key, p.FirstSeen, p.Seed = q.id, q.key, now, q.left == 0
		g.byID[q.id] = p
		g.peers = append(g.peers, p)
		g.newest = now
	case p.Key != q.key, p.Key == "" && p.Addr.Addr() != from:
		// Peer ids are handed out, so they prove nothing: without this anybody could report
		// another machine as stopped or as done.
		return nil, errNotYours
	case q.event == shared.None: // what an event makes him say tells nothing of his pace
		p.patience = scale(now.Sub(p.LastSeen))
	}
	g.report(p, now, q)
	p.Addr, p.LastSeen = netip.AddrPortFrom(from, q.port), now
	p.stopped = q.event == shared.Stopped
	p.Live = !p.stopped
	g.notify()
	return p, nil
}

// report takes over the figures. A download has ended when the peer says so, when nothing is left
// to one that once missed something, or when nothing is left and it says it downloaded: so a seed
// that is restarted still learns of those who finished meanwhile.
func (g *registry) report(p *peer, now time.Time, q query) {
	p.Left, p.Uploaded, p.Downloaded = q.left, q.uploaded, q.downloaded
	if g.size > 0 {
		p.Left = min(p.Left, g.size) // a client without the metainfo says it misses 2^63-1
	}
	if p.Left > 0 || p.Downloaded > 0 || q.event == shared.Completed {
		p.Seed = false
	}
	if p.Left == 0 && !p.Seed && p.Completed.IsZero() {
		p.Completed = now
		g.finished++
	}
}

// makeRoom sees to it that one more peer at that address fits, at the cost of what is remembered
// of dead ones. An address that brings many pays with its own.
func (g *registry) makeRoom(from netip.Addr) error {
	same := 0
	for _, p := range g.peers {
		if p.Addr.Addr() == from {
			same++
		}
	}
	if same >= g.maxPer && !g.forget(func(p *peer) bool { return p.Addr.Addr() == from }) {
		return errFullAddr
	}
	if len(g.peers) >= g.maxPeers &&
		!g.forget(func(p *peer) bool { return p.Completed.IsZero() }) &&
		!g.forget(func(*peer) bool { return true }) {
		return errFull
	}
	return nil
}

// forget drops the oldest dead peer that is eligible.
func (g *registry) forget(eligible func(*peer) bool) bool {
	i := slices.IndexFunc(g.peers, func(p *peer) bool { return !p.Live && eligible(p) })
	if i < 0 {
		return false
	}
	delete(g.byID, g.peers[i].ID)
	g.peers = slices.Delete(g.peers, i, i+1)
	return true
}

// expire marks as dead whoever has been silent for too long. It looks at everybody, so it does so
// at most once a second.
func (g *registry) expire(now time.Time) {
	if d := now.Sub(g.expired); 0 <= d && d < time.Second {
		return
	}
	g.expired = now
	for _, p := range g.peers {
		if p.Live && now.Sub(p.LastSeen) > p.patience {
			p.Live = false
			g.notify()
		}
	}
}

// pace is the interval to announce. Machines that are switched on together all ask before the
// others have come, so as long as newcomers arrive everybody asks again soon; a crowd is slowed
// down so that all of it together stays below announceRate.
func (g *registry) pace(now time.Time, live int) time.Duration {
	d := g.interval
	if now.Sub(g.newest) < g.settle {
		d = min(d, g.short)
	}
	return max(d, time.Duration(live/announceRate)*time.Second)
}

func scale(gap time.Duration) time.Duration {
	return min(max(time.Duration(patienceFactor*float64(gap)), patienceMin), patienceMax)
}

func (p *peer) state() State {
	switch {
	case p.Live && p.Left > 0:
		return Joined
	case p.Live, !p.Completed.IsZero():
		return Done
	case p.stopped:
		return Gone
	default:
		return Lost
	}
}

// receivers is a copy of all that is known, in the order in which the peers came.
func (g *registry) receivers(now time.Time) []Receiver {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	list := make([]Receiver, len(g.peers))
	for i, p := range g.peers {
		list[i] = p.Receiver
		list[i].State = p.state()
	}
	return list
}

type counts struct{ complete, incomplete, finished int }

// counts are the living, and all who ever finished.
func (g *registry) counts(now time.Time) counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expire(now)
	c := counts{finished: g.finished}
	for _, p := range g.peers {
		switch {
		case p.Live && p.Left == 0:
			c.complete++
		case p.Live:
			c.incomplete++
		}
	}
	return c
}

func (g *registry) subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.subs[c] = struct{}{}
	return c, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.subs, c)
	}
}

// notify wakes whoever subscribed. A wake-up that was not yet consumed stands for this one too.
func (g *registry) notify() {
	for c := range g.subs {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
