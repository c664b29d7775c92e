// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Slow start, as EZIO's --slow-start has it: a school's switch is not hit by everything at once.
const (
	slowStep  = 10_000_000 // bytes a second
	slowSteps = 10
	burst     = 512 << 10 // bytes that may go at once
)

// A Throttle bounds what the swarms that share it upload, or download, together. A nil *Throttle is
// no bound.
type Throttle struct {
	final   rate.Limit
	period  time.Duration // of a step of slow start; 0 for none
	limiter *rate.Limiter

	mu    sync.Mutex
	begun time.Time // of slow start; zero before it
}

// NewThrottle is a bound of limit bytes a second, 0 for none. A slowStart that is not 0 lets it begin,
// when the first swarm does, with 10 MB/s and grow by as much in each period of that length, up to
// 100 MB/s, and only then to the limit.
func NewThrottle(limit int64, slowStart time.Duration) *Throttle {
	t := &Throttle{final: rate.Inf, period: slowStart}
	if limit > 0 {
		t.final = rate.Limit(limit)
	}
	t.limiter = rate.NewLimiter(t.final, burst)
	return t
}

// begin is told that a swarm has begun.
func (t *Throttle) begin(now time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun.IsZero() {
		t.begun = now
	}
}

// limit is the bound at a time.
func (t *Throttle) limit(now time.Time) rate.Limit {
	if t.period <= 0 {
		return t.final
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	step := 1 + int(now.Sub(t.begun)/t.period)
	if step > slowSteps {
		return t.final
	}
	return min(t.final, rate.Limit(step*slowStep))
}

// free says whether there is no bound now.
func (t *Throttle) free() bool { return t == nil || t.limit(time.Now()) == rate.Inf }

// wait returns when n bytes may be sent.
func (t *Throttle) wait(ctx context.Context, n int) error {
	if l := t.limit(time.Now()); l != t.limiter.Limit() {
		t.limiter.SetLimit(l)
	}
	for n > burst {
		if err := t.limiter.WaitN(ctx, burst); err != nil {
			return err
		}
		n -= burst
	}
	return t.limiter.WaitN(ctx, n)
}

// A bounded reader leaves this much, in bytes, to the kernel's buffer, or half a second's worth.
const (
	leastBuffer = 64 << 10
	mostBuffer  = 4 << 20
)

// narrow fits a connection's receive buffer to the bound. With a large one the kernel takes everything
// that was asked for at once and then nothing for so long that the sender gives us up for dead.
func (t *Throttle) narrow(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || t == nil || t.final == rate.Inf {
		return
	}
	_ = tcp.SetReadBuffer(min(max(int(t.final/2), leastBuffer), mostBuffer)) // else it is as large as before
}
