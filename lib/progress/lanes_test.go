// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func fixed(s Sample) func() Sample { return func() Sample { return s } }

func TestSplitEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr writes
		r := New(Config{Mode: JSON, Tool: "ezio-recv", Stdout: &stdout, Stderr: &stderr})
		lanes := r.Split("target", []string{"/dev/sda1", "/dev/sda2"})
		lanes[0].Start("receiving", nil, Fields{"target": "it cannot be replaced"})
		lanes[0].Done(nil)
		lanes[0].Banned("10.0.0.3:6881", "bad piece")
		lanes[1].Fail(errors.New("oops"), "try again")
		r.Exit(1)
		compare(t, stdout.String(),
			`{"event":"start","time":"2000-01-01T00:00:00Z","phase":"receiving","total_bytes":0,"target":"/dev/sda1"}`,
			`{"event":"progress","time":"2000-01-01T00:00:00Z","phase":"receiving","done_bytes":0,"total_bytes":0,"rate":0,"rate_down":0,"rate_up":0,"peers":0,"eta_seconds":null,"target":"/dev/sda1"}`,
			`{"event":"progress","time":"2000-01-01T00:00:00Z","phase":"receiving","done_bytes":0,"total_bytes":0,"rate":0,"rate_down":0,"rate_up":0,"peers":0,"eta_seconds":null,"target":"/dev/sda1"}`,
			`{"event":"done","time":"2000-01-01T00:00:00Z","target":"/dev/sda1"}`,
			`{"event":"peer_banned","time":"2000-01-01T00:00:00Z","peer":"10.0.0.3:6881","reason":"bad piece","target":"/dev/sda1"}`,
			`{"event":"error","time":"2000-01-01T00:00:00Z","message":"oops","hint":"try again","target":"/dev/sda2"}`,
			`{"event":"exit","time":"2000-01-01T00:00:00Z","code":1}`,
		)
		compare(t, stderr.String(), "ezio-recv: /dev/sda2: oops", "hint: try again")
	})
}

// A job alone has its lines and its bar as ever.
func TestSplitAlone(t *testing.T) {
	for _, mode := range []Mode{Plain, Bar, None} {
		var stderr writes
		r := New(Config{Mode: mode, Quiet: mode == None, Tool: "ezio-recv", Stderr: &stderr})
		l := r.Split("target", []string{"/dev/sda1"})[0]
		l.Start("receiving", fixed(Sample{Done: mib, Total: 2 * mib}), nil)
		l.Fail(errors.New("oops\x1b[2J"), "")
		got := screen(t, 80, stderr.String())
		want := map[Mode]string{
			Plain: "ezio-recv: receiving 50% (1.0 of 2.0 MiB) in 0.0 s, 0 B/s\nezio-recv: oops\ufffd[2J\n",
			Bar:   "receiving  50% [==============>               ] 1.0 of 2.0 MiB, in 0.0 s, 0 B/s\nezio-recv: oops\ufffd[2J\n",
			None:  "ezio-recv: oops\ufffd[2J\n",
		}[mode]
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", mode, got, want)
		}
	}
}

func TestSplitLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		r := New(Config{Mode: Plain, Tool: "ezio-recv", Stderr: &stderr})
		lanes := r.Split("target", []string{"/dev/sda1", "/dev/sda2"})
		for i, l := range lanes {
			l.Start("receiving", fixed(Sample{Done: int64(i) * mib, Total: 2 * mib}), nil)
			time.Sleep(100 * time.Millisecond)
		}
		lanes[0].Printf("/dev/sda1: a note")
		time.Sleep(1300 * time.Millisecond)
		lanes[0].Stop()
		time.Sleep(time.Second)
		lanes[1].Stop()
		compare(t, stderr.String(),
			"ezio-recv: /dev/sda1: a note",
			"ezio-recv: /dev/sda1: receiving 0% (0.0 of 2.0 MiB), 0 B/s",
			"ezio-recv: /dev/sda2: receiving 50% (1.0 of 2.0 MiB), 0 B/s",
			"ezio-recv: /dev/sda1: receiving 0% (0.0 of 2.0 MiB) in 1.5 s, 0 B/s",
			"ezio-recv: /dev/sda2: receiving 50% (1.0 of 2.0 MiB) in 2.4 s, 0 B/s",
		)
	})
}

// Several jobs are one bar, with the time left that the slowest needs; what ends leaves a line.
func TestSplitBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		r := New(Config{Mode: Bar, Tool: "ezio-recv", Stderr: &stderr})
		lanes := r.Split("target", []string{"/dev/sda1", "/dev/sda2", "/dev/sda3"})
		var jobs [3]job
		for i, l := range lanes {
			jobs[i].set(Sample{Total: 100 * mib, Peers: 1 + i})
			l.Start("receiving", jobs[i].sample, nil)
		}
		for range 6 {
			for i := range jobs {
				s := jobs[i].sample()
				s.Done, s.Down = s.Done+int64(i+1)*mib, s.Down+int64(i+1)*mib
				jobs[i].set(s)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		compare(t, screen(t, 120, stderr.String())+"\n",
			"receiving  12% [==>                  ] 6.0 MiB/s down, 3 peers, 1 min 34 s left")
		lanes[2].Fail(errors.New("oops"), "")
		lanes[1].Stop()
		compare(t, screen(t, 120, stderr.String())+"\n",
			"ezio-recv: /dev/sda3: receiving 18% (18.0 of 100.0 MiB) in 6.0 s, 3.0 MiB/s down, 3 peers",
			"ezio-recv: /dev/sda3: oops",
			"ezio-recv: /dev/sda2: receiving 12% (12.0 of 100.0 MiB) in 6.0 s, 2.0 MiB/s down, 2 peers",
			"receiving   9% [=>                    ] 1.0 MiB/s down, 1 peer, 1 min 34 s left")
		lanes[0].Stop()
		r.Exit(1)
		if got := screen(t, 80, stderr.String()); got[len(got)-1] != '\n' {
			t.Errorf("the bar stays:\n%s", got)
		}
	})
}
