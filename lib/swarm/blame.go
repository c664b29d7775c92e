// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net/netip"
	"slices"
	"time"
)

// blame says who is to be kept away, and for how long. It is pure: it is told the time.
//
// Two things are held against a peer. Wrong pieces: whoever sent one alone is known at once; of one
// that several sent, who it was is known when the right one is here (evidence.go). And nuisances: a
// connection that was ended for what it did before it was of any use.
//
// A network corrupts too: TCP's checksum lets one wrong packet in some ten thousand pass. So a wrong
// piece is weighed. A peer is banned when two pieces were wrong through it and it never sent a right
// one, or the share of what it sends wrong is several times that of all others together, which on a
// clean network is next to nothing. Every ban ends, and the next one is longer: an honest machine with
// a bad cable comes back.
type blame struct {
	peers map[netip.AddrPort]*record
}

// A record is what is known of one peer, by its identity.
type record struct {
	weight
	strikes   int  // pieces that were wrong through it
	useful    bool // it had a part in a right one
	nuisances int
	since     time.Time // when the nuisances began to count
	bans      int       // so far
	until     time.Time // the end of the ban, or of the last one
	seen      time.Time
}

// A weight is how many grains came right and wrong.
type weight struct{ right, wrong int64 }

const (
	strikesToBan = 2
	// A peer's wrong grains, but for one, may be this many times those of the others, to whom one wrong
	// and so many right ones are added, so that there is something to compare with at the beginning.
	suspicious = 4
	doubtful   = 64
	// Older grains count half when there are this many: 64 MiB.
	manyGrains = 4096

	nuisancesToBan = 5
	nuisanceTime   = 30 * time.Second

	firstBan  = 15 * time.Second
	longerBan = 3 // times the last one
	lastBan   = time.Hour

	maxRecords = 4096
)

func newBlame() blame { return blame{peers: map[netip.AddrPort]*record{}} }

var localhost = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// identity is whom a far end stands for: its machine. Where everybody is on this machine the port
// tells peers apart.
func identity(a netip.AddrPort) netip.AddrPort {
	if slices.Contains(localhost, a.Addr()) {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), 0)
}

// of finds a peer's record, or makes one. Peers with nothing against them are forgotten when there
// are too many.
func (b *blame) of(who netip.AddrPort, now time.Time) *record {
	r := b.peers[who]
	if r == nil {
		if len(b.peers) >= maxRecords {
			b.forget()
		}
		r = &record{}
		b.peers[who] = r
	}
	r.seen = now
	return r
}

// forget drops the half of the records that were not needed for longest.
func (b *blame) forget() {
	list := make([]netip.AddrPort, 0, len(b.peers))
	for who := range b.peers {
		list = append(list, who)
	}
	slices.SortFunc(list, func(x, y netip.AddrPort) int { return b.peers[x].seen.Compare(b.peers[y].seen) })
	for _, who := range list[:len(list)/2] {
		delete(b.peers, who)
	}
}

func (w *weight) add(right, wrong int64) {
	w.right += right
	w.wrong += wrong
	if w.right+w.wrong > manyGrains {
		w.right, w.wrong = w.right/2, (w.wrong+1)/2
	}
}

// good notes grains of a piece that was right.
func (b *blame) good(who netip.AddrPort, grains int64, now time.Time) {
	r := b.of(who, now)
	r.useful = true
	r.add(grains, 0)
}

// bad notes that a piece was wrong through a peer, which sent so many right and wrong grains of it.
// again says that this was noted before, and that some of the grains that counted as right were not.
// It says whether to ban the peer.
func (b *blame) bad(who netip.AddrPort, w weight, again bool, now time.Time) bool {
	r := b.of(who, now)
	r.add(w.right, w.wrong)
	r.right = max(0, r.right)
	if !again {
		r.strikes++
	}
	return r.strikes >= strikesToBan && (!r.useful || b.worse(r))
}

// worse says whether a peer sends far more wrong grains than the others together.
func (b *blame) worse(r *record) bool {
	var others weight
	for _, o := range b.peers {
		if o != r {
			others.right += o.right
			others.wrong += o.wrong
		}
	}
	sent, all := r.right+r.wrong, others.right+others.wrong+doubtful
	return (r.wrong-1)*all > suspicious*(others.wrong+1)*sent
}

// nuisance notes that a peer's connection was ended for what it did. It says whether to ban the peer:
// not for one or two, which can happen to anybody.
func (b *blame) nuisance(who netip.AddrPort, now time.Time) bool {
	r := b.of(who, now)
	if now.Sub(r.since) > nuisanceTime {
		r.since, r.nuisances = now, 0
	}
	r.nuisances++
	return r.nuisances >= nuisancesToBan
}

// ban keeps a peer away for a time, and returns that time.
func (b *blame) ban(who netip.AddrPort, now time.Time) time.Duration {
	d := firstBan
	r := b.of(who, now)
	for range r.bans {
		d = min(d*longerBan, lastBan)
	}
	*r = record{weight: r.weight, bans: r.bans + 1, until: now.Add(d), seen: now}
	return d
}

// banned says whether a peer is kept away now.
func (b *blame) banned(who netip.AddrPort, now time.Time) bool {
	r := b.peers[who]
	return r != nil && now.Before(r.until)
}
