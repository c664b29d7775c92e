// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import "time"

// doubt is about what we serve. Peers do not say that a piece was wrong; they ask for it again. When
// that has happened twice to a piece it is read from the disk and compared with its hash: the source
// may have changed since it was captured, or the disk may be failing in silence.
type doubt struct {
	again   map[int]int       // how often a piece was asked for again
	checked map[int]time.Time // when it was found to be right
	busy    bool              // one is being read
}

const (
	doubtAfter = 2
	// A piece that was right is not read again so soon: it is the network that is to blame, or a peer
	// that wants to keep our disk busy.
	doubtAgain = time.Minute
	maxDoubts  = 4096 // pieces
)

func newDoubt() doubt { return doubt{map[int]int{}, map[int]time.Time{}, false} }

// asked says whether to read a piece that was asked for again.
func (d *doubt) asked(i int, now time.Time) bool {
	if at, ok := d.checked[i]; ok && now.Sub(at) < doubtAgain {
		return false
	}
	if len(d.again) >= maxDoubts {
		clear(d.again)
	}
	d.again[i]++
	return d.again[i] >= doubtAfter && !d.busy
}

func (d *doubt) settled(i int, now time.Time) {
	if len(d.checked) >= maxDoubts {
		clear(d.checked)
	}
	d.busy = false
	d.checked[i] = now
	delete(d.again, i)
}

// askedAgain notes that a peer asks for a piece of which it was sent everything before.
func (l *loop) askedAgain(c *conn, i int, now time.Time) {
	if _, n := l.s.torrent.Layout.Span(i); c.given[i] < n {
		return
	}
	delete(c.given, i)
	if !l.doubt.asked(i, now) {
		return
	}
	l.doubt.busy = true
	l.s.wg.Go(func() {
		err := l.s.store.Check(i)
		l.s.post(func() {
			l.doubt.settled(i, time.Now())
			if err != nil {
				l.onReadFailed(i, err)
			}
		})
	})
}
