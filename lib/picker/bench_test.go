// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ezio/lib/piece"
)

// BenchmarkFetch is what deciding costs for each piece of a large image: to ask for it, to hear of
// its blocks, and to hear that one of the peers has another one.
func BenchmarkFetch(b *testing.B) {
	for _, peers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			const pieces, length = 50_000, 256 << 10
			var p *Picker
			now := start
			begin := func() {
				p = New(Config{
					Layout: piece.Layout{Length: length, Size: pieces * length},
					Have:   piece.NewBitfield(pieces),
					Budget: 256,
					Rand:   rand.New(rand.NewPCG(1, 1)),
				})
				for id := range ID(peers) {
					p.Join(id+1, Traits{Block: length, Queue: 2000})
					p.Choked(id+1, false, true)
					for i := range pieces {
						if i%peers == int(id) || i%3 == 0 {
							p.PeerHas(id+1, i)
						}
					}
				}
			}
			begin()
			var queue []Action
			for n := 0; n < b.N; {
				queue = append(queue, of(Request, p.Act(now))...)
				if len(queue) == 0 || p.have.Count() > pieces/2 {
					b.StopTimer()
					begin()
					queue = nil
					b.StartTimer()
					continue
				}
				a := queue[0]
				queue = queue[1:]
				now = now.Add(20 * time.Millisecond)
				if p.Received(a.Peer, a.Block, now) {
					p.Verified(int(a.Block.Piece))
					n++
				}
				p.PeerHas(1+ID(n%peers), (n*7919)%pieces)
			}
		})
	}
}

// BenchmarkSeed is what deciding costs a seed for each piece of a large image that has left it once:
// to show another, and to hear that it has arrived.
func BenchmarkSeed(b *testing.B) {
	for _, peers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			const pieces, length = 50_000, 256 << 10
			p := newPicker(pieces, 256, all(pieces))
			for id := range ID(peers + 1) {
				p.Join(id+1, Traits{Block: length})
			}
			p.PeerBitfield(ID(peers+1), all(pieces))
			now := start
			shown := of(Reveal, p.Act(now))
			for n := range b.N {
				if len(shown) == 0 {
					b.Fatal("nothing is shown")
				}
				a := shown[n%len(shown)]
				delete(p.peers[a.Peer].rev.pieces, a.Piece) // it arrives, and is forgotten again
				p.reveal.given[a.Piece]--
				now = now.Add(time.Millisecond)
				if next := of(Reveal, p.Act(now)); len(next) > 0 {
					shown[n%len(shown)] = next[0]
				}
			}
		})
	}
}
