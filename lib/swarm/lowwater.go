// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"net"
	"time"

	"ezio/lib/wire"
)

// A lowWater decides how many bytes of a block must have come before the kernel wakes the reader of a
// connection: it would for each packet or two, and a receiver that keeps up with its link spends more
// time on waking up than on its data. What comes in two milliseconds, or the rest of the block if that
// is less, makes no difference to anybody but the CPU.
type lowWater struct {
	set   int // what the kernel was told
	ahead int // bytes that come in lowWaterTime
	since time.Time
	bytes int64
}

const (
	lowWaterTime   = 2 * time.Millisecond
	lowWaterWindow = 100 * time.Millisecond // over which the rate is measured
	lowWaterLeast  = 16 << 10               // below that it is not worth a system call
	lowWaterMost   = 128 << 10              // a stream that slows down is still noticed to come
)

// want is the mark for a read of at most n bytes.
func (l *lowWater) want(n int) int {
	if n <= wire.ReadAhead { // of these nobody knows whether they come
		return 1
	}
	if w := min(n, l.ahead); w >= lowWaterLeast {
		return w
	}
	return 1
}

// prepare sets the mark for a read of at most n bytes.
func (l *lowWater) prepare(nc net.Conn, n int) {
	if w := l.want(n); w != max(l.set, 1) {
		if wire.SetLowWater(nc, w) == nil { // else the connection is gone, which the read tells
			l.set = w
		}
	}
}

// came hears how many bytes a read has brought.
func (l *lowWater) came(n int, now time.Time) {
	l.bytes += int64(n)
	d := now.Sub(l.since)
	if d < lowWaterWindow {
		return
	}
	l.ahead = int(min(float64(l.bytes)*float64(lowWaterTime)/float64(d), lowWaterMost))
	l.since, l.bytes = now, 0
}
