// SPDX-License-Identifier: GPL-2.0-or-later

package picker

// Pieces is how many pieces a peer is known to have.
func (p *Picker) Pieces(id ID) int {
	if q := p.peers[id]; q != nil {
		return q.has.Count()
	}
	return 0
}

// SentTo is how many bytes a peer's connection has passed on to the network.
func (p *Picker) SentTo(id ID) int64 {
	if q := p.peers[id]; q != nil {
		return q.snk.sent
	}
	return 0
}
