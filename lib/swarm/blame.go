// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import "net/netip"

// blame remembers who sent pieces that did not match. One wrong piece may be a flipped bit on an
// honest link; an address that alone sent a wrong piece twice is banned.
type blame struct {
	strikes map[netip.Addr]int
	bans    map[netip.Addr]bool
}

const strikesToBan = 2

func newBlame() blame {
	return blame{strikes: map[netip.Addr]int{}, bans: map[netip.Addr]bool{}}
}

// failed notes who contributed to a wrong piece and returns the address to ban, if any. Several
// contributors share no blame: any of them may be innocent.
func (b *blame) failed(from []netip.Addr) (netip.Addr, bool) {
	if len(from) != 1 {
		return netip.Addr{}, false
	}
	b.strikes[from[0]]++
	return from[0], b.strikes[from[0]] >= strikesToBan
}

func (b *blame) ban(a netip.Addr)         { b.bans[a] = true }
func (b *blame) banned(a netip.Addr) bool { return b.bans[a] }
