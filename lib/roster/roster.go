// SPDX-License-Identifier: GPL-2.0-or-later

// Package roster knows who takes part in the deployment of one image and how each is doing. It puts
// together what the tracker hears (announces), what the swarm sees (connections) and what receivers
// of our own kind report, which is the most exact of the three and may be absent.
//
// It is pure: no I/O, no goroutine, no clock. What it is told of may be lies, so memory is bounded,
// a peer id belongs to whoever used it first with its key, and nobody's word moves another's row.
//
// A machine that comes again takes the place of its earlier attempt, so that what remains at the end
// is one row a machine and what became of it.
package roster

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ezio/lib/report"
	"ezio/lib/tracker"
)

// Image is what is deployed.
type Image struct {
	InfoHash    [20]byte
	Name        string
	Size        int64 // bytes of image space
	Pieces      int
	PieceLength int64 // bytes
	DeviceSize  int64 // bytes of the disk captured; 0: unknown
	Filesystem  string
	Source      string // what is served, as the operator named it
}

// Config says what a Roster is about.
type Config struct {
	Image      Image
	MaxRows    int // 0: 10,000
	MaxPerAddr int // reporting rows from one IP address; 0: 256
}

// A Peer is one connection of the seed.
type Peer struct {
	ID   [20]byte
	Addr netip.AddrPort
	Have int64 // bytes of the pieces it has
	Sent int64 // bytes of pieces sent to it over this connection
}

// Seen is what the seed itself sees at one moment.
type Seen struct {
	Announced    []tracker.Receiver
	Connected    []Peer
	Sent         int64 // bytes of pieces the seed has sent to all
	Availability []int // how many connected peers have each piece
}

var (
	errNotYours = errors.New("this peer_id was used with another key")
	errFull     = errors.New("no room for more receivers")
	errOther    = errors.New("unknown infohash")
)

// A Roster is the receivers of one image. Its methods may be called from any goroutine.
type Roster struct {
	cfg Config

	mu      sync.Mutex
	rows    []*row // in the order in which they came
	byID    map[[20]byte]*row
	dropped map[[20]byte]time.Time // peer ids of earlier attempts, which the tracker still knows, and their last announces
	began   time.Time              // of the first Update
	seen    Seen
	history history
	sent    meter // of the seed
}

// New makes an empty roster.
func New(cfg Config) *Roster {
	if cfg.MaxRows <= 0 {
		cfg.MaxRows = 10000
	}
	if cfg.MaxPerAddr <= 0 {
		cfg.MaxPerAddr = 256
	}
	return &Roster{cfg: cfg, byID: map[[20]byte]*row{}, dropped: map[[20]byte]time.Time{}}
}

// Report takes a receiver's own account, which has been through report.Parse, and answers it. from
// is the address that it comes from. An error is fit to be told to the sender.
func (r *Roster) Report(now time.Time, from netip.Addr, p report.Report) (report.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Hash() != r.cfg.Image.InfoHash {
		return report.Answer{}, errOther
	}
	id := p.ID()
	w := r.byID[id]
	switch {
	case w == nil:
		if r.count(from) >= r.cfg.MaxPerAddr && !r.forget(func(w *row) bool { return w.addr.Addr() == from && w.state.Unfinished() }) || !r.room() {
			return report.Answer{}, errFull
		}
		w = r.add(id, now)
		w.key, w.addr = p.Key, netip.AddrPortFrom(from, 0)
	case w.key == "":
		// Known by its connection only, which has no key: it is believed from the same address.
		if w.addr.Addr() != from {
			return report.Answer{}, errNotYours
		}
		w.key = p.Key
	case w.key != p.Key:
		return report.Answer{}, errNotYours
	}
	w.report(now, p, r.cfg.Image.Size)
	if p.State == report.Done || p.State.Ended() {
		w.state, w.reason = w.verdict(now, r.cfg.Image.Size, r.interval())
	}
	r.supersede()
	return report.Answer{Interval: r.interval(), Unfinished: r.unfinished(now)}, nil
}

// reportRate is how many reports a second all receivers together may cause.
const reportRate = 100

// interval is the seconds between two reports of one receiver.
func (r *Roster) interval() int { return 1 + len(r.rows)/reportRate }

// unfinished is how many receivers are there and still miss something.
func (r *Roster) unfinished(now time.Time) int {
	n := 0
	for _, w := range r.rows {
		if w.state.Underway() && w.live(now, r.interval()) {
			n++
		}
	}
	return n
}

// Update takes what the seed sees. It is called about once a second.
func (r *Roster) Update(now time.Time, s Seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = now
	}
	r.seen = s
	for _, w := range r.rows {
		w.connected = false
	}
	r.hear(s.Announced)
	for _, p := range s.Connected {
		if w := r.byID[p.ID]; w != nil || r.room() {
			if w == nil {
				w = r.add(p.ID, now)
			}
			w.connect(now, p)
		}
	}
	r.supersede()
	r.judge(now)
	r.sent.add(now, s.Sent)
	r.history.add(now.Sub(r.began), r.rate(), r.sent.rate())
}

// Hear takes the tracker's announces, between two updates: who has just come counts among those who miss
// something.
func (r *Roster) Hear(announced []tracker.Receiver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hear(announced)
}

func (r *Roster) hear(announced []tracker.Receiver) {
	still := map[[20]byte]time.Time{}
	defer func() { r.dropped = still }()
	for _, a := range announced {
		if last, ok := r.dropped[a.ID]; ok && !a.LastSeen.After(last) {
			still[a.ID] = last
			continue
		}
		w := r.byID[a.ID]
		if w == nil && r.room() {
			w = r.add(a.ID, a.FirstSeen)
		}
		if w != nil {
			w.announce(a)
		}
	}
}

// judge decides what state everybody is in.
func (r *Roster) judge(now time.Time) {
	var rates []float64
	for _, w := range r.rows {
		if w.measure(now); w.state == Receiving || w.state == Slow {
			rates = append(rates, w.meter.rate())
		}
	}
	slices.Sort(rates)
	median := 0.0
	if len(rates) >= 3 {
		median = rates[len(rates)/2]
	}
	for _, w := range r.rows {
		w.judge(now, r.cfg.Image.Size, median, r.interval())
	}
}

// supersede drops attempts that came to nothing of machines that have come again. A device is open to
// one at a time: who reports from the same one is the same machine, and its silence need not be waited
// for.
func (r *Roster) supersede() {
	latest := map[machine]*row{}
	for _, w := range r.rows {
		if m, ok := w.machine(); ok {
			latest[m] = w
		}
	}
	r.rows = slices.DeleteFunc(r.rows, func(w *row) bool {
		m, ok := w.machine()
		if !ok || latest[m] == w || w.connected || w.state == Done || !w.reports() && !w.state.Unfinished() {
			return false
		}
		latest[m].attempts = max(latest[m].attempts, w.attempts+1)
		r.drop(w)
		return true
	})
}

// drop forgets a row's peer id, also when the tracker names it again.
func (r *Roster) drop(w *row) {
	delete(r.byID, w.id)
	if w.announced != nil {
		r.dropped[w.id] = w.announced.LastSeen
	}
}

func (r *Roster) add(id [20]byte, now time.Time) *row {
	w := &row{id: id, joined: now, heard: now, state: Joining, attempts: 1}
	r.rows = append(r.rows, w)
	r.byID[id] = w
	return w
}

func (r *Roster) count(from netip.Addr) int {
	n := 0
	for _, w := range r.rows {
		if w.addr.Addr() == from {
			n++
		}
	}
	return n
}

// room says whether there is room for one more row, at the cost of those that came to nothing or, where
// there are none, of those that have been done for longest.
func (r *Roster) room() bool {
	return len(r.rows) < r.cfg.MaxRows || r.forget(func(w *row) bool { return w.state.Unfinished() }) ||
		r.forget(func(w *row) bool { return w.state == Done })
}

// forget drops the oldest row that is eligible, and not connected.
func (r *Roster) forget(eligible func(*row) bool) bool {
	i := slices.IndexFunc(r.rows, func(w *row) bool { return !w.connected && eligible(w) })
	if i < 0 {
		return false
	}
	r.drop(r.rows[i])
	r.rows = slices.Delete(r.rows, i, i+1)
	return true
}

// rate is what all receivers together receive, in bytes a second.
func (r *Roster) rate() float64 {
	sum := 0.0
	for _, w := range r.rows {
		if w.state == Receiving || w.state == Slow {
			sum += w.meter.rate()
		}
	}
	return sum
}
