// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"errors"
	"testing"
	"time"

	"ezio/lib/store"
	"ezio/lib/wire"
)

func TestDoubt(t *testing.T) {
	d := newDoubt()
	if d.asked(3, day) || !d.asked(3, day) {
		t.Fatal("it is not read at the second time")
	}
	d.busy = true
	if d.asked(3, day) || d.asked(4, day) || d.asked(4, day) {
		t.Fatal("two are read at a time")
	}
	d.settled(3, day)
	for range 2 * doubtAfter {
		if d.asked(3, day.Add(doubtAgain-1)) {
			t.Fatal("it was right just now")
		}
	}
	if d.asked(3, day.Add(doubtAgain)) || !d.asked(3, day.Add(doubtAgain)) {
		t.Fatal("it is never read again")
	}
}

// A source that was changed while it is served: the piece is named and not served any more.
func TestChangedSource(t *testing.T) {
	t.Parallel()
	tor, disk := image(t, 8, 64<<10)
	failed := make(chan error, 8)
	seed := begin(t, tor, store.NewSource(tor, disk, "seed"), Config{ReadFailed: func(i int, err error) {
		if i != 2 {
			t.Errorf("piece %d: %v", i, err)
		}
		failed <- err
	}})
	off, _ := tor.Layout.Span(2)
	for e := range tor.Map.Slices(off+500, 1) {
		disk.mu.Lock()
		disk.b[e.Offset]++
		disk.mu.Unlock()
	}
	p := visit(t, tor, seed)
	p.say(wire.AppendInterested(nil))
	p.next("pieces to ask for", func(m wire.Message) bool { return m.Type == wire.Have && m.Piece == 2 })
	withdrawn := false
	for range 3 { // wrong the first time, and the second
		for _, k := range []int{0, 2} { // piece 0 is asked for as often, and is right
			for _, b := range p.blocks(k) {
				p.say(wire.AppendRequest(nil, b))
			}
			for range p.blocks(k) {
				p.next("a block", func(m wire.Message) bool {
					withdrawn = withdrawn || isDontHave(m)
					return m.Type == wire.Piece || m.Type == wire.Reject
				})
			}
		}
	}
	select {
	case err := <-failed:
		if !errors.Is(err, store.ErrChanged) {
			t.Fatal(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("it is served on")
	}
	if !withdrawn {
		p.next("a don't have", isDontHave)
	}
}

func isDontHave(m wire.Message) bool { return m.Type == wire.Extended && m.ExtID == strangerDontHave }
