// SPDX-License-Identifier: GPL-2.0-or-later

package roster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ezio/lib/report"
	"ezio/lib/tracker"
)

const size = 1000

var hash = [20]byte{7}

// lab is a roster with a clock that the tests move.
type lab struct {
	t    *testing.T
	r    *Roster
	now  time.Time
	seen Seen
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, now: time.Unix(1700000000, 0)}
	l.r = New(Config{Image: Image{InfoHash: hash, Name: "sda1", Size: size, Pieces: 10, PieceLength: 100}})
	l.look()
	return l
}

func peerID(n int) (id [20]byte) {
	id[0], id[19] = 1, byte(n)
	return id
}

func lan(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

func (l *lab) look() { l.r.Update(l.now, l.seen) }

// pass lets time go by, a look each second.
func (l *lab) pass(seconds int, each func()) {
	for range seconds {
		l.now = l.now.Add(time.Second)
		if each != nil {
			each()
		}
		l.look()
	}
}

func said(n int, s report.State, done int64) report.Report {
	return report.Report{
		InfoHash: fmt.Sprintf("%x", hash), PeerID: fmt.Sprintf("%x", peerID(n)), Key: fmt.Sprint("key", n),
		State: s, Name: fmt.Sprint("lab-", n), Device: "/dev/sda", DoneBytes: done, DownBytes: done,
	}
}

func (l *lab) report(n int, s report.State, done int64) report.Answer {
	l.t.Helper()
	a, err := l.r.Report(l.now, lan(n), said(n, s, done))
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

func (l *lab) announce(n int, left int64, state tracker.State) {
	a := tracker.Receiver{
		ID: peerID(n), Addr: netip.AddrPortFrom(lan(n), 6881), Left: left, Downloaded: size - left,
		FirstSeen: l.now, LastSeen: l.now, State: state, Live: state == tracker.Joined || state == tracker.Done,
	}
	if state == tracker.Done {
		a.Completed = l.now
	}
	for i, old := range l.seen.Announced {
		if old.ID == a.ID {
			a.FirstSeen = old.FirstSeen
			l.seen.Announced[i] = a
			return
		}
	}
	l.seen.Announced = append(l.seen.Announced, a)
}

// is checks a receiver's state and what its reason contains.
func (l *lab) is(n int, want State, reason string) {
	l.t.Helper()
	for _, v := range l.r.Status(l.now).Receivers {
		if v.ID == fmt.Sprintf("%x", peerID(n)) {
			if v.State != want || !strings.Contains(v.Reason, reason) || reason == "" && v.Reason != "" {
				l.t.Errorf("receiver %d is %s (%s), want %s (%s)", n, v.State, v.Reason, want, reason)
			}
			return
		}
	}
	l.t.Errorf("receiver %d is not there", n)
}

func TestLifeOfOneThatReports(t *testing.T) {
	l := newLab(t)
	l.report(1, report.Joining, 0)
	l.look()
	l.is(1, Joining, "")
	l.report(1, report.Verifying, 0)
	l.look()
	l.is(1, Verifying, "")
	done := int64(0)
	l.pass(8, func() { done += 100; l.report(1, report.Receiving, done) })
	l.is(1, Receiving, "")
	v := l.r.Status(l.now).Receivers[0]
	if v.Rate != 100 || v.ETA == nil || *v.ETA != 2 || v.DoneBytes != 800 || v.Title() != "lab-1" {
		t.Errorf("%+v", v)
	}
	// Everything received is not done: it still verifies, whatever its announces say.
	l.announce(1, 0, tracker.Done)
	l.pass(1, func() { l.report(1, report.Verifying, size) })
	l.is(1, Verifying, "")
	if a := l.report(1, report.Done, size); a.Unfinished != 0 {
		t.Errorf("%d are unfinished", a.Unfinished)
	}
	l.look()
	l.is(1, Done, "")
	l.pass(60, nil)
	l.is(1, Done, "") // it has left
	if s := l.r.Status(l.now); s.Receivers[0].Seconds != 9 || s.Counts.Done != 1 || s.ETA != nil {
		t.Errorf("took %v s, %+v", s.Receivers[0].Seconds, s.Counts)
	}
}

func TestEndsOfThoseThatReport(t *testing.T) {
	for _, c := range []struct {
		say    report.State
		text   string
		want   State
		reason string
	}{
		{report.Refused, "it is mounted", Refused, "it is mounted"},
		{report.Failed, "write /dev/sda at 0x0: input/output error", Failed, "input/output error"},
		{report.Stopped, "", Lost, "interrupted, it had 40 %"},
		{report.Receiving, "", Lost, "silent for 20 s, it had 40 %"},
	} {
		l := newLab(t)
		p := said(1, c.say, 400)
		p.Error = c.text
		if _, err := l.r.Report(l.now, lan(1), p); err != nil {
			t.Fatal(err)
		}
		if c.say != report.Receiving {
			l.look()
		} else {
			l.announce(1, 600, tracker.Joined) // its silence counts, not the tracker's patience
			l.pass(20, nil)
		}
		l.is(1, c.want, c.reason)
		if s := l.r.Status(l.now); s.Counts.Unfinished != 1 || s.Total != 0 {
			t.Errorf("%s: %+v of %d bytes", c.say, s.Counts, s.Total)
		}
	}
}

func TestForeignClients(t *testing.T) {
	l := newLab(t)
	l.announce(1, size, tracker.Joined)
	l.look()
	l.is(1, Joining, "")
	for have := int64(100); have <= 600; have += 100 {
		l.seen.Connected = []Peer{{ID: peerID(1), Addr: netip.AddrPortFrom(lan(1), 6881), Have: have, Sent: have}}
		l.pass(1, nil)
	}
	l.is(1, Receiving, "")
	if v := l.r.Status(l.now).Receivers[0]; v.Rate != 83 && v.Rate != 100 || v.DoneBytes != 600 || v.Title() != "10.0.0.1:6881" {
		t.Errorf("%+v", v)
	}
	l.seen.Connected = nil
	l.announce(1, 400, tracker.Gone)
	l.look()
	l.is(1, Lost, "took its leave, it had 60 %")
	l.announce(2, 0, tracker.Done)
	l.look()
	l.is(2, Done, "")
	l.announce(3, 0, tracker.Joined)
	l.seen.Announced[2].Seed = true
	l.look()
	l.is(3, Seeding, "")
	if s := l.r.Status(l.now); s.Counts.All != 2 || s.Counts.Done != 1 {
		t.Errorf("a seed counts: %+v", s.Counts)
	}
}

// Without a tracker connections are all there is.
func TestConnectionsAlone(t *testing.T) {
	l := newLab(t)
	peer := Peer{ID: peerID(1), Addr: netip.AddrPortFrom(lan(1), 7000)}
	for have := int64(0); have <= size; have += 100 {
		peer.Have, peer.Sent = have, have
		l.seen.Connected = []Peer{peer}
		l.pass(1, nil)
	}
	l.is(1, Done, "")
	// Whoever connects and is given nothing is not worth a word once it has left.
	l.seen.Connected = []Peer{{ID: peerID(2), Addr: netip.AddrPortFrom(lan(2), 7000)}}
	l.pass(1, nil)
	l.is(2, Joining, "")
	l.seen.Connected = nil
	l.pass(1, nil)
	if s := l.r.Status(l.now); len(s.Receivers) != 1 || s.Counts.Unfinished != 0 {
		t.Errorf("%+v", s.Receivers)
	}
	// One that had everything when it came brought it along.
	l.seen.Connected = []Peer{{ID: peerID(3), Addr: netip.AddrPortFrom(lan(3), 7000), Have: size}}
	l.pass(1, nil)
	l.is(3, Seeding, "")
}

func TestSlow(t *testing.T) {
	l := newLab(t)
	done := map[int]int64{}
	step := func() {
		for n := 1; n <= 4; n++ {
			rate := int64(20)
			if n == 4 {
				rate = 2
			}
			done[n] += rate
			l.report(n, report.Receiving, done[n])
		}
	}
	l.pass(20, step)
	l.is(1, Receiving, "")
	l.is(4, Slow, "10 % of the others' rate")
	// Nothing at all is slow even where there is nobody to compare with.
	alone := newLab(t)
	alone.pass(5, func() { alone.report(1, report.Receiving, 100) })
	alone.is(1, Receiving, "")
	alone.pass(20, func() { alone.report(1, report.Receiving, 100) })
	alone.is(1, Slow, "nothing received for 2")
	alone.pass(3, func() { done[9] += 10; alone.report(1, report.Receiving, 100+done[9]) })
	alone.is(1, Receiving, "")
}

// A machine that comes again takes the place of its earlier attempt.
func TestSecondAttempt(t *testing.T) {
	l := newLab(t)
	p := said(1, report.Refused, 0)
	p.Error = "it is mounted"
	if _, err := l.r.Report(l.now, lan(1), p); err != nil {
		t.Fatal(err)
	}
	l.look()
	again := said(2, report.Done, size)
	again.Name = "lab-1"
	if _, err := l.r.Report(l.now, lan(1), again); err != nil {
		t.Fatal(err)
	}
	l.look()
	s := l.r.Status(l.now)
	if len(s.Receivers) != 1 || s.Receivers[0].State != Done || s.Receivers[0].Attempts != 2 || s.Counts.Unfinished != 0 {
		t.Errorf("%+v", s.Receivers)
	}
	// One that was killed in the middle and started again: its first announces are still known.
	l.announce(4, 500, tracker.Joined)
	l.report(4, report.Receiving, 500)
	l.look()
	l.pass(2, nil) // the tracker believes that it is alive, and so do we
	l.is(4, Receiving, "")
	once := said(5, report.Done, size)
	once.Name = "lab-4"
	if _, err := l.r.Report(l.now, lan(4), once); err != nil {
		t.Fatal(err)
	}
	l.pass(3, nil)
	if s := l.r.Status(l.now); len(s.Receivers) != 2 || s.Counts.Unfinished != 0 {
		t.Errorf("%+v", s.Receivers)
	}
	// Another disk of the same machine is another receiver.
	other := said(3, report.Failed, 0)
	other.Name, other.Device = "lab-1", "/dev/sdb"
	if _, err := l.r.Report(l.now, lan(1), other); err != nil {
		t.Fatal(err)
	}
	l.look()
	if s := l.r.Status(l.now); len(s.Receivers) != 3 || s.Counts.Unfinished != 1 {
		t.Errorf("%+v", s.Receivers)
	}
}

// Nobody speaks for another: peer ids are handed out, keys are not.
func TestOnlyWhoHasTheKeySpeaks(t *testing.T) {
	l := newLab(t)
	l.report(1, report.Receiving, 100)
	forged := said(1, report.Failed, 0)
	forged.Key = "guess"
	if _, err := l.r.Report(l.now, lan(9), forged); err != errNotYours {
		t.Errorf("another key: %v", err)
	}
	l.announce(2, size, tracker.Joined)
	l.seen.Announced[0].Key = "secret"
	l.look()
	if _, err := l.r.Report(l.now, lan(2), said(2, report.Failed, 0)); err != errNotYours {
		t.Errorf("announced with another key: %v", err)
	}
	// Whoever guessed an id before it announced is found out when it does.
	l.report(3, report.Failed, 0)
	l.announce(3, size, tracker.Joined)
	l.seen.Announced[1].Key = "its own"
	l.look()
	l.is(3, Joining, "")
	other := said(4, report.Receiving, 0)
	other.InfoHash = strings.Repeat("0", 40)
	if _, err := l.r.Report(l.now, lan(4), other); err != errOther {
		t.Errorf("another torrent: %v", err)
	}
	l.seen.Connected = []Peer{{ID: peerID(5), Addr: netip.AddrPortFrom(lan(5), 1)}}
	l.look()
	if _, err := l.r.Report(l.now, lan(9), said(5, report.Failed, 0)); err != errNotYours {
		t.Errorf("for one that is connected from elsewhere: %v", err)
	}
}

func TestBounded(t *testing.T) {
	l := newLab(t)
	l.r = New(Config{Image: Image{InfoHash: hash, Size: size}, MaxRows: 4, MaxPerAddr: 2})
	try := func(addr, n int, s report.State) error {
		_, err := l.r.Report(l.now, lan(addr), said(n, s, 0))
		l.look()
		return err
	}
	for n := 1; n <= 2; n++ {
		if err := try(1, n, report.Receiving); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(1, 3, report.Receiving); err != errFull {
		t.Errorf("a third from one address: %v", err)
	}
	if err := try(1, 2, report.Failed); err != nil {
		t.Fatal(err)
	}
	if err := try(1, 3, report.Receiving); err != nil {
		t.Errorf("at the cost of its own that failed: %v", err)
	}
	for n := 4; n <= 5; n++ {
		if err := try(n, n, report.Receiving); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(6, 6, report.Receiving); err != errFull {
		t.Errorf("a fifth: %v", err)
	}
	// A standing seed forgets who was done first, not who is at work.
	if err := try(4, 4, report.Done); err != nil {
		t.Fatal(err)
	}
	if err := try(6, 6, report.Receiving); err != nil || l.r.byID[peerID(4)] != nil {
		t.Errorf("at the cost of one that is done: %v", err)
	}
	l.announce(7, 9, tracker.Joined)
	l.seen.Connected = []Peer{{ID: peerID(8)}}
	l.look()
	if n := len(l.r.rows); n != 4 || len(l.r.byID) != 4 {
		t.Errorf("%d rows", n)
	}
}

func TestUnfinishedAreCounted(t *testing.T) {
	l := newLab(t)
	l.report(1, report.Receiving, 10)
	l.report(2, report.Receiving, 10)
	l.announce(3, 9, tracker.Joined)
	l.look()
	if a := l.report(1, report.Done, size); a.Unfinished != 2 {
		t.Errorf("%d, want 2", a.Unfinished)
	}
	l.report(2, report.Refused, 0)
	l.announce(3, 9, tracker.Lost)
	l.look()
	if a := l.report(1, report.Done, size); a.Unfinished != 0 || a.Interval != 1 {
		t.Errorf("%+v, want none", a)
	}
	// Who has just been heard of by the tracker counts, and who has fallen silent does not.
	l.announce(4, 9, tracker.Joined)
	l.r.Hear(l.seen.Announced)
	if a := l.report(1, report.Done, size); a.Unfinished != 1 {
		t.Errorf("%d, want the newcomer", a.Unfinished)
	}
	l.announce(4, 9, tracker.Gone)
	l.report(5, report.Receiving, 10)
	l.look()
	l.now = l.now.Add(time.Minute)
	if a := l.report(1, report.Done, size); a.Unfinished != 0 {
		t.Errorf("%d, want none: one has left, the other is silent", a.Unfinished)
	}
}

func TestHistoryCoversAllTime(t *testing.T) {
	l := newLab(t)
	l.pass(5000, func() { l.seen.Sent += 50 })
	h := l.r.Status(l.now).History
	if n := len(h); n < maxHistory/2-1 || n > maxHistory {
		t.Fatalf("%d points", n)
	}
	for i := 1; i < len(h); i++ {
		if d := h[i].At - h[i-1].At; d < 8 || d > 32 {
			t.Fatalf("point %d is %v s after the one before", i, d)
		}
	}
	if last := h[len(h)-1]; last.At < 4950 || last.Up < 49 || last.Up > 51 {
		t.Errorf("the last point is %+v", last)
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"lab-9", "lab-10"}, {"a", "b"}, {"lab-09", "lab-10"}, {"lab", "lab-1"}, {"10.0.0.9", "10.0.0.10"}, {"1x", "x"}} {
		if natural(c.a, c.b) >= 0 || natural(c.b, c.a) <= 0 || natural(c.a, c.a) != 0 {
			t.Errorf("%s is not before %s", c.a, c.b)
		}
	}
	if Compare("state", Receiver{State: Failed}, Receiver{State: Done}) >= 0 {
		t.Error("trouble is not first")
	}
	if Compare("rate", Receiver{Rate: 1}, Receiver{Rate: 2}) >= 0 || Compare("done", Receiver{DoneBytes: 1}, Receiver{DoneBytes: 2}) >= 0 {
		t.Error("numbers are not in order")
	}
}

func TestThin(t *testing.T) {
	if got := fmt.Sprint(thin([]int{3, 1, 2, 5, 0, 4}, 3)); got != "[1 2 0]" {
		t.Error(got)
	}
	if got := fmt.Sprint(thin([]int{3}, 200)); got != "[3]" {
		t.Error(got)
	}
}

func BenchmarkUpdate1000(b *testing.B) {
	r := New(Config{Image: Image{InfoHash: hash, Size: size}})
	now := time.Unix(0, 0)
	var seen Seen
	for n := range 1000 {
		id := peerID(n)
		id[1] = byte(n >> 8)
		seen.Announced = append(seen.Announced, tracker.Receiver{ID: id, Left: 9, Live: true})
		seen.Connected = append(seen.Connected, Peer{ID: id, Have: 10})
	}
	for b.Loop() {
		now = now.Add(time.Second)
		r.Update(now, seen)
	}
}
