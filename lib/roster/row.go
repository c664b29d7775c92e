// SPDX-License-Identifier: GPL-2.0-or-later

package roster

import (
	"fmt"
	"net/netip"
	"time"

	"ezio/lib/progress"
	"ezio/lib/report"
	"ezio/lib/tracker"
)

// State is what has become of a receiver.
type State string

const (
	Joining   State = "joining"   // it is there, and has received nothing yet
	Verifying State = "verifying" // it reads its device back, by its own account
	Receiving State = "receiving"
	Slow      State = "slow"    // it receives much less than the others, or nothing
	Done      State = "done"    // it has every byte; if it reports, verified, written and synced
	Lost      State = "lost"    // silent, or gone before it had every byte
	Refused   State = "refused" // it will not write to its device
	Failed    State = "failed"  // it gave up
	Seeding   State = "seeding" // it had every byte when it came: no receiver, but a second seed
)

// States is all of them, in the order in which an operator wants to see them: trouble first.
var States = []State{Failed, Refused, Lost, Slow, Receiving, Verifying, Joining, Done, Seeding}

// Underway says whether a receiver in that state may still finish.
func (s State) Underway() bool {
	return s == Joining || s == Verifying || s == Receiving || s == Slow
}

// Unfinished says whether a receiver in that state has ended without the image.
func (s State) Unfinished() bool { return s == Lost || s == Refused || s == Failed }

// When somebody is taken for lost or slow.
const (
	silence    = 15 * time.Second // of a receiver that reports every second
	stalled    = 10 * time.Second // without a byte, where bytes are reported
	stalledToo = 60 * time.Second // where only whole pieces are seen
	slowFor    = 5 * time.Second  // below the mark
	slowMark   = 3                // the median rate over this
	comesWhole = 5 * time.Second  // a peer that has everything so soon brought it along
)

// A row is one receiver.
type row struct {
	id       [20]byte
	key      string
	addr     netip.AddrPort
	attempts int

	joined, heard time.Time
	announced     *tracker.Receiver
	connected     bool
	wasConnected  bool
	sent          int64         // by the seed, over the connection at hand
	have          int64         // bytes, by its have messages
	said          report.Report // its last; State is empty if it never reported
	saidAt        time.Time

	state      State
	reason     string
	done       int64
	meter      meter
	started    time.Time // when it first received something
	progressed time.Time
	slowSince  time.Time
	finished   time.Time
	brought    bool // it had everything when it came
}

func (w *row) reports() bool { return w.said.State != "" }

func (w *row) report(now time.Time, p report.Report, size int64) {
	p.DoneBytes = min(p.DoneBytes, size)
	w.said, w.saidAt, w.heard = p, now, now
	if p.State == report.Done && w.finished.IsZero() {
		w.finished = now
	}
}

func (w *row) announce(a tracker.Receiver) {
	if w.key != "" && a.Key != "" && w.key != a.Key {
		// Somebody reported under an id that is another's. Announces were first to have it: nothing is
		// gained by an id that was only guessed.
		w.said, w.saidAt = report.Report{}, time.Time{}
	}
	if a.Key != "" {
		w.key = a.Key
	}
	w.addr = a.Addr
	w.announced = &a
	if a.LastSeen.After(w.heard) {
		w.heard = a.LastSeen
	}
	if a.Seed && !w.reports() {
		w.brought = true
	}
}

func (w *row) connect(now time.Time, p Peer) {
	if !w.addr.IsValid() {
		w.addr = p.Addr
	}
	w.connected, w.wasConnected = true, true
	w.heard, w.sent, w.have = now, p.Sent, p.Have
}

// live says whether it is still there, as far as is known.
func (w *row) live(now time.Time, interval int) bool {
	switch {
	case w.said.State.Ended():
		return false
	case w.connected:
		return true
	case w.reports():
		return now.Sub(w.heard) < silence+3*time.Duration(interval)*time.Second
	}
	return w.announced != nil && w.announced.Live
}

// measure takes the figures of the moment over.
func (w *row) measure(now time.Time) {
	done := max(w.have, w.said.DoneBytes)
	counted := done
	if a := w.announced; a != nil && a.Left >= 0 && w.said.State == "" {
		counted = max(counted, a.Downloaded)
	}
	if w.reports() {
		done, counted = w.said.DoneBytes, w.said.DownBytes
	}
	if w.meter.add(now, counted) || done > w.done {
		w.progressed = now
		if w.started.IsZero() && counted > 0 {
			w.started = now
		}
	}
	w.done = done
}

// judge decides on the state; median is the rate of all who receive, 0 if they are too few.
func (w *row) judge(now time.Time, size int64, median float64, interval int) {
	w.doneByOthers(size)
	w.state, w.reason = w.verdict(now, size, interval)
	if w.state != Receiving {
		w.slowSince = time.Time{}
		return
	}
	why := w.slowness(now, median)
	switch {
	case why == "":
		w.slowSince = time.Time{}
	case w.slowSince.IsZero():
		w.slowSince = now
	case now.Sub(w.slowSince) >= slowFor:
		w.state, w.reason = Slow, why
	}
}

// doneByOthers notices the end of one that does not report, or died before it could.
func (w *row) doneByOthers(size int64) {
	a := w.announced
	if a != nil && !w.reports() {
		w.done = max(w.done, size-a.Left)
	}
	if !w.finished.IsZero() || w.reports() {
		return
	}
	switch {
	case a != nil && !a.Completed.IsZero():
		w.finished = a.Completed
	case a == nil && w.have >= size:
		w.finished = w.heard
		w.brought = w.brought || w.heard.Sub(w.joined) < comesWhole && w.sent == 0
	}
}

func (w *row) verdict(now time.Time, size int64, interval int) (State, string) {
	switch w.said.State {
	case report.Refused:
		return Refused, w.said.Error
	case report.Failed:
		return Failed, w.said.Error
	case report.Done:
		return Done, ""
	case report.Stopped:
		return Lost, "interrupted" + w.soFar(size)
	}
	switch {
	case w.brought:
		return Seeding, ""
	case !w.finished.IsZero():
		return Done, ""
	case !w.live(now, interval):
		return Lost, w.howLost(now) + w.soFar(size)
	case w.said.State == report.Verifying:
		return Verifying, ""
	case w.started.IsZero():
		return Joining, ""
	}
	return Receiving, ""
}

func (w *row) howLost(now time.Time) string {
	if a := w.announced; a != nil && !a.Live && a.State == tracker.Gone {
		return "it took its leave"
	}
	return "silent for " + words(now.Sub(w.heard))
}

func words(d time.Duration) string { return progress.Duration(int64(d / time.Second)) }

func (w *row) soFar(size int64) string {
	if size <= 0 {
		return ""
	}
	return fmt.Sprintf(", it had %d %%", min(99, int(float64(w.done)/float64(size)*100)))
}

// slowness is in what way it is slow, "" if it is not.
func (w *row) slowness(now time.Time, median float64) string {
	patience := stalled
	if !w.reports() {
		patience = stalledToo
	}
	rate := w.meter.rate()
	switch quiet := now.Sub(w.progressed); {
	case quiet >= patience:
		return "nothing received for " + words(quiet)
	case w.meter.full() && median > 0 && rate*slowMark < median:
		return fmt.Sprintf("%.0f %% of the others' rate", rate/median*100)
	}
	return ""
}

// A machine is what is recognised when it comes again.
type machine struct {
	addr         netip.Addr
	name, device string
	port         uint16 // of one that does not report
}

func (w *row) machine() (machine, bool) {
	switch {
	case w.reports():
		return machine{addr: w.addr.Addr(), name: w.said.Name, device: w.said.Device}, w.said.Name != "" || w.said.Device != ""
	case w.announced != nil:
		return machine{addr: w.addr.Addr(), port: w.addr.Port()}, true
	}
	return machine{}, false
}
