// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// job is a made-up transfer that the tests move along under the fake clock of synctest.
type job struct {
	mu sync.Mutex
	s  Sample
}

func (j *job) sample() Sample {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s
}

func (j *job) set(s Sample) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.s = s
}

// receive moves n bytes a second for some seconds, and a half of that upwards.
func (j *job) receive(seconds int, n int64) {
	for range seconds {
		s := j.sample()
		s.Done, s.Down, s.Up = s.Done+n, s.Down+n, s.Up+n/2
		j.set(s)
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// writes keeps what is written, write by write.
type writes struct {
	mu  sync.Mutex
	all [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

func (w *writes) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.Join(w.all, nil))
}

func compare(t *testing.T, got string, want ...string) {
	t.Helper()
	if w := strings.Join(want, "\n") + "\n"; got != w {
		t.Errorf("got:\n%s\nwant:\n%s", got, w)
	}
}

func TestParseMode(t *testing.T) {
	for _, s := range []string{"auto", "bar", "plain", "json", "none"} {
		if m, err := ParseMode(s); err != nil || string(m) != s {
			t.Errorf("ParseMode(%q) = %q, %v", s, m, err)
		}
	}
	for _, s := range []string{"", "Bar", "jsonl", "none "} {
		if m, err := ParseMode(s); err == nil {
			t.Errorf("ParseMode(%q) = %q, no error", s, m)
		}
	}
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr writes
		r := New(Config{Tool: "ezio-recv", Stdout: &stdout, Stderr: &stderr}) // Auto, and no terminal
		hash := &job{s: Sample{Total: 10 * mib}}
		r.Start("checking", hash.sample, nil)
		time.Sleep(400 * time.Millisecond)
		hash.set(Sample{Done: 10 * mib, Total: 10 * mib})

		j := &job{s: Sample{Total: 250 * mib, Waiting: "peers"}}
		r.Start("receiving", j.sample, nil)
		time.Sleep(1500 * time.Millisecond)
		j.set(Sample{Total: 250 * mib, Peers: 7})
		j.receive(20, 11*mib)
		r.Done(nil)

		j.set(Sample{Up: 110 * mib, Peers: 1}) // the counter goes on where it was
		r.Start("uploading", j.sample, nil)
		j.set(Sample{Up: 120 * mib, Peers: 1})
		time.Sleep(5 * time.Second)
		r.Stop()
		r.Exit(0)
		r.Start("after the end", j.sample, nil)
		r.Stop()
		compare(t, stderr.String(),
			"ezio-recv: checking 100% (10.0 of 10.0 MiB) in 0.4 s, 25.0 MiB/s",
			"ezio-recv: receiving 0% (0.0 of 250.0 MiB), 0 peers, waiting for peers",
			"ezio-recv: receiving 44% (110.0 of 250.0 MiB), 11.0 MiB/s down, 5.5 MiB/s up, 7 peers, 13 s left",
			"ezio-recv: receiving 88% (220.0 of 250.0 MiB), 11.0 MiB/s down, 5.5 MiB/s up, 7 peers, 3 s left",
			"ezio-recv: receiving 88% (220.0 of 250.0 MiB) in 22 s, 10.2 MiB/s down, 5.1 MiB/s up, 7 peers",
			"ezio-recv: uploading, 10.0 MiB/s up, 1 peer",
			"ezio-recv: uploading in 5.0 s, 2.0 MiB/s up, 1 peer",
		)
		if stdout.String() != "" {
			t.Errorf("on stdout: %q", stdout.String())
		}
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	})
}

// A day's log must not be flooded: ten seconds lie between any two lines of a phase but the last.
func TestPlainIsSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		r := New(Config{Mode: Plain, Stderr: &stderr})
		r.Start("receiving", func() Sample { return Sample{Total: 1} }, nil)
		time.Sleep(time.Second)
		synctest.Wait()
		for s := 1; s < 3600; s++ {
			if got, want := strings.Count(stderr.String(), "\n"), 1+(s-1)/10; got != want {
				t.Fatalf("%d lines after %d s, want %d", got, s, want)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		r.Stop()
	})
}

// Looks that come late, each by another bit of a second, make no line a second late.
func TestPlainIsNotLate(t *testing.T) {
	var stderr writes
	p := &plain{stderr: &stderr}
	begun := time.Unix(0, 0)
	said := begun
	for look := 1; look <= 600; look++ {
		late := time.Duration(look*7919%400) * time.Millisecond // of 400 numbers all once, then again
		now := begun.Add(time.Duration(look)*time.Second + late)
		before := len(stderr.String())
		p.update(figures{at: now, elapsed: now.Sub(begun)})
		if len(stderr.String()) > before {
			if gap := now.Sub(said); gap > plainInterval+400*time.Millisecond || look > 1 && gap < plainInterval-400*time.Millisecond {
				t.Fatalf("%v between two lines", gap)
			}
			said = now
		}
	}
	if gap := begun.Add(600 * time.Second).Sub(said); gap > plainInterval {
		t.Fatalf("silent for %v", gap)
	}
}

func TestSilence(t *testing.T) {
	use := func(r *Reporter) {
		r.Start("receiving", func() Sample { return Sample{} }, nil)
		time.Sleep(time.Minute)
		r.Banned("10.0.0.3:6881", "bad piece")
		r.Done(nil)
		r.Error(errors.New("oops"), "")
		r.Exit(1)
		r.Stop()
		r.Printf("listening on %s", ":6881")
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		use(nil)
		use(New(Config{}))
		for _, c := range []struct {
			mode  Mode
			quiet bool
			want  string
		}{
			{None, false, "ezio-recv: listening on :6881\n"},
			{None, true, ""},
			{Auto, true, ""},
			{Bar, true, ""},
			{Plain, true, ""},
		} {
			var stdout, stderr writes
			use(New(Config{Mode: c.mode, Quiet: c.quiet, Tool: "ezio-recv", Stdout: &stdout, Stderr: &stderr}))
			if stdout.String() != "" || stderr.String() != c.want {
				t.Errorf("%s, quiet %v: stdout %q, stderr %q", c.mode, c.quiet, stdout.String(), stderr.String())
			}
		}
	})
}

func TestPlainNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		r := New(Config{Mode: Plain, Tool: "ezio-seed", Stderr: &stderr})
		r.Banned("10.0.0.3:6881", "hash of piece 4\x1b[2J\r")
		r.Printf("serving\nhttp://10.0.0.1:6969/\n")
		r.Start("connecting\x07", nil, nil)
		time.Sleep(2 * time.Second)
		r.Error(nil, "") // nothing
		r.Error(errors.New("no route"), "plug the cable")
		compare(t, stderr.String(),
			"ezio-seed: banned 10.0.0.3:6881: hash of piece 4\ufffd[2J\ufffd",
			"ezio-seed: serving\nhttp://10.0.0.1:6969/",
			"ezio-seed: connecting\ufffd",
			"ezio-seed: connecting\ufffd in 2.0 s",
		)
	})
}

// The job's lock is around its events and around its counters, so sampling must not hold what
// events need.
func TestSampleMayReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mode := range []Mode{Bar, Plain, JSON} {
			var stdout, stderr writes
			r := New(Config{Mode: mode, Stdout: &stdout, Stderr: &stderr})
			r.Start("receiving", func() Sample {
				r.Printf("sampled")
				r.Banned("10.0.0.3:6881", "bad piece")
				return Sample{Total: 1}
			}, nil)
			time.Sleep(3 * time.Second)
			r.Stop()
			if n := strings.Count(stderr.String(), "sampled"); n < 4 {
				t.Errorf("%s: sampled %d times", mode, n)
			}
		}
	})
}

// A phase's end waits for the sample under way, and no sample is taken once it has returned, as
// the job is then torn down.
func TestStopWaitsForSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		var closed, busy atomic.Bool
		slow := func() Sample {
			if closed.Load() || !busy.CompareAndSwap(false, true) {
				t.Error("sampled after the end, or twice at once")
			}
			time.Sleep(300 * time.Millisecond)
			busy.Store(false)
			return Sample{}
		}
		r := New(Config{Mode: Bar, Stderr: &stderr})
		r.Start("receiving", slow, nil)
		time.Sleep(700 * time.Millisecond)
		if !busy.Load() {
			t.Fatal("no sample under way")
		}
		r.Stop()
		closed.Store(true)
		time.Sleep(time.Minute)
	})
}

// Everything at once, for the race detector, and a check that the streams stay whole.
func TestConcurrentUse(t *testing.T) {
	for _, mode := range []Mode{Bar, Plain, JSON, None} {
		synctest.Test(t, func(t *testing.T) {
			var stdout, stderr writes
			r := New(Config{Mode: mode, Tool: "t", Stdout: &stdout, Stderr: &stderr})
			var n atomic.Int64
			sample := func() Sample { return Sample{Done: n.Add(1), Total: 1000, Down: n.Load()} }
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for k := range 50 {
						r.Start(fmt.Sprintf("phase %d", i), sample, Fields{"k": k})
						time.Sleep(time.Duration(i*100) * time.Millisecond)
						r.Banned("peer", "reason")
						r.Printf("note")
						r.Stop()
						_ = r.Err()
					}
				})
			}
			wg.Wait()
			r.Exit(0)
			if got := strings.Count(stderr.String(), "t: note"); got != 400 {
				t.Errorf("%s: %d notes of 400", mode, got)
			}
			if mode == JSON {
				decode(t, &stdout)
			}
		})
	}
}
