// SPDX-License-Identifier: GPL-2.0-or-later

package tracker

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/anacrolix/torrent/tracker/shared"
)

const (
	unknownInterval = 30 * time.Second // of a tracker that names none

	lonelyMin = 5 * time.Second // between asking a tracker that knows nobody else, at first
	lonelyMax = time.Minute
)

// request is one announce, whatever the protocol.
type request struct {
	infoHash, id [20]byte
	port         uint16
	key          uint32
	stats        Stats
	event        event
	userAgent    string
}

// An announcer carries on the conversation with one tracker. Announces go out one after the
// other, so a tracker sees the events in their order.
type announcer struct {
	c     *Client
	url   *url.URL
	send  func(context.Context, *url.URL, request) (answer, error)
	nudge chan struct{} // holds one

	// The conversation's state, of the goroutine that runs it.
	known    bool // the tracker has heard of us, or may have
	reported bool // it knows that we completed
	failures int  // in a row
	lonely   int  // answers in a row that named nobody
	floor    time.Duration

	mu     sync.Mutex
	status TrackerStatus
}

func newAnnouncer(c *Client, u *url.URL, send func(context.Context, *url.URL, request) (answer, error)) *announcer {
	return &announcer{
		c: c, url: u, send: send,
		nudge:  make(chan struct{}, 1),
		floor:  minInterval,
		status: TrackerStatus{URL: u.String(), Seeds: -1, Leeches: -1},
	}
}

// run announces until ctx ends, then says goodbye within the other context.
func (t *announcer) run(ctx, farewell context.Context) {
	for ctx.Err() == nil {
		select {
		case <-t.nudge: // what comes now is what was asked for
		default:
		}
		wait := t.announce(ctx, t.next())
		if !t.sleep(ctx, wait) {
			break
		}
	}
	if e := t.next(); e == shared.Completed && farewell.Err() == nil {
		t.announce(farewell, e) // whoever counts must not see us stop short of the end
	}
	if t.known {
		t.announce(farewell, shared.Stopped)
	}
}

// next is the event that the tracker is to learn next. Completed comes even before started: one
// who starts with everything is a seed, not somebody who has finished.
func (t *announcer) next() event {
	select {
	case <-t.c.completed:
		if !t.reported {
			return shared.Completed
		}
	default:
	}
	if !t.known {
		return shared.Started
	}
	return shared.None
}

// announce sends one announce and returns how long to wait before the next.
func (t *announcer) announce(ctx context.Context, e event) time.Duration {
	cfg := &t.c.cfg
	r := request{
		infoHash: cfg.InfoHash, id: cfg.PeerID, port: cfg.Port, key: cfg.Key,
		stats: cfg.Stats(), event: e, userAgent: cfg.UserAgent,
	}
	if e == shared.Completed {
		r.stats.Left = 0
	}
	limited, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	a, err := t.send(limited, t.url, r)
	if ctx.Err() != nil {
		t.known = true // cut off on our side: it may well have arrived
		if err != nil {
			return 0
		}
	}
	if err != nil {
		return t.failed(err)
	}
	return t.succeeded(a, r)
}

func (t *announcer) failed(err error) time.Duration {
	why := cause(err)
	t.mu.Lock()
	fresh := t.status.LastError != why
	t.status.LastError = why
	t.mu.Unlock()
	if fresh { // said once, not at every attempt
		t.c.cfg.Log.Info("announce failed", "tracker", t.status.URL, "reason", why)
	}
	if errors.As(err, new(failureReason)) {
		t.known = false // it refused us, so it may not know us any more
	}
	t.failures++
	wait := backoff(t.c.cfg.MinRetry, t.c.cfg.MaxRetry, t.failures)
	return time.Duration(float64(wait) * (0.75 + 0.25*t.c.cfg.Jitter()))
}

func (t *announcer) succeeded(a answer, r request) time.Duration {
	t.failures, t.known = 0, true
	t.reported = t.reported || r.event == shared.Completed
	t.mu.Lock()
	t.status.LastError, t.status.LastOK, t.status.Peers = "", time.Now(), len(a.peers)
	t.status.Seeds, t.status.Leeches, t.status.Completed = a.seeds, a.leeches, t.reported
	t.status.ReportURL = ""
	if a.report != "" {
		t.status.ReportURL = t.url.Scheme + "://" + t.url.Host + a.report
	}
	t.mu.Unlock()
	t.c.cfg.Log.Debug("announced", "tracker", t.status.URL, "event", r.event, "interval", a.interval, "peers", len(a.peers))
	if r.event != shared.Stopped && len(a.peers) > 0 {
		t.c.peersMu.Lock()
		t.c.cfg.Peers(a.peers)
		t.c.peersMu.Unlock()
	}
	return t.pace(a, r.stats.Left)
}

// pace is the wait that the answer asks for: its interval, somewhat stretched so that machines
// that began together do not stay in step. One who misses bytes and was told of nobody cannot
// afford the half hour that public trackers ask for, and comes back sooner at first.
func (t *announcer) pace(a answer, left int64) time.Duration {
	wait := a.interval
	if wait <= 0 {
		wait = unknownInterval
	}
	wait = min(max(wait, minInterval), maxInterval)
	t.floor = min(max(a.minInterval, minInterval), wait)
	if left > 0 && a.lonely() {
		t.lonely++
		wait = min(wait, max(t.floor, backoff(lonelyMin, lonelyMax, t.lonely)))
	} else {
		t.lonely = 0
	}
	return time.Duration(float64(wait) * (1 + 0.1*t.c.cfg.Jitter()))
}

// backoff is low, doubled for each attempt after the first, but never above high.
func backoff(low, high time.Duration, attempt int) time.Duration {
	for ; attempt > 1 && low < high; attempt-- {
		low *= 2
	}
	return min(low, high)
}

// sleep waits until it is time for the next announce; false when ctx ended first.
func (t *announcer) sleep(ctx context.Context, wait time.Duration) bool {
	completed := t.c.completed
	if t.reported || t.failures > 0 && t.next() == shared.Completed {
		completed = nil // known already, or being retried at the pace of failures
	}
	start := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-completed:
			return true
		case <-t.nudge:
			timer.Reset(min(wait, t.floor) - time.Since(start))
		}
	}
}
