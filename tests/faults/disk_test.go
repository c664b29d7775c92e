// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ezio/tests/faults/faultfs"
)

const mib = 1 << 20

// The disk of these tests works when it is not told otherwise, and what lies between the extents is
// not touched.
func TestHonestDisk(t *testing.T) {
	im := newImage(t, 40, 512<<10)
	d, dev := faulty(t, im.blank())
	d.Record()
	s := seed(t, im.torrent, im.disk)
	recv(t, s.url, dev, "--verify-after").success()
	im.check(t, d.Bytes())
	if log := d.Log(); log[len(log)-1].Op != faultfs.Flush {
		t.Error("the device was not flushed after the last write")
	}
}

// A disk that fails is noticed while there is still something to do about it, with its place.
func TestWriteFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		rule func(place int64) []faultfs.Rule
		want string // in the message
	}{
		{"4 KiB that cannot be written", func(at int64) []faultfs.Rule {
			return []faultfs.Rule{{Op: faultfs.Write, From: at, To: at + 4096, Err: syscall.EIO}}
		}, "at 0x"},
		{"no space behind the device", func(at int64) []faultfs.Rule {
			return []faultfs.Rule{{Op: faultfs.Write, From: at, To: at + 4096, Err: syscall.ENOSPC}}
		}, "at 0x"},
		{"one flush fails, the next would not", func(int64) []faultfs.Rule {
			return []faultfs.Rule{{Op: faultfs.Flush, Err: syscall.EIO, Times: 1}}
		}, "input/output error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			im := newImage(t, 60, 512<<10)
			d, dev := faulty(t, im.blank())
			d.Set(c.rule(im.place(5))...)
			s := seed(t, im.torrent, im.disk, "--upload-limit", "8MiB")
			r := recv(t, s.url, dev)
			code := r.wait()
			failed(t, im, r, code, dev, c.want)
			// Slow as it is, the download is far from its end when a bad place becomes known.
			begin, _ := r.event("start", "receiving")
			if took := r.end.Sub(begin.Time); c.want == "at 0x" && took > 10*time.Second {
				t.Errorf("noticed after %v", took)
			}
			uploaded(t, im, s)
		})
	}
}

// failed wants a receiver to have ended as a disk error demands.
func failed(t *testing.T, im *image, r *proc, code int, dev, want string) {
	t.Helper()
	msg := r.err.String()
	if code != 1 || !strings.Contains(msg, dev) || !strings.Contains(msg, want) {
		t.Errorf("exit code %d: %s", code, tail(msg))
	}
	if r.said("done") {
		t.Error("it said done")
	}
	if r.said("peer_banned") {
		t.Error("it blamed a peer")
	}
}

// uploaded wants the seed to have sent hardly more than one image.
func uploaded(t *testing.T, im *image, s *seeding) {
	t.Helper()
	s.signal(syscall.SIGINT)
	s.wait()
	if up := s.sent(); up > im.t.Layout.Size*11/10 {
		t.Errorf("the seed sent %d bytes of an image of %d", up, im.t.Layout.Size)
	}
}

func TestDiskDiesHalfway(t *testing.T) {
	t.Parallel()
	im := newImage(t, 60, 512<<10)
	d, dev := faulty(t, im.blank())
	d.DieAfter(im.t.Layout.Size / 2)
	s := seed(t, im.torrent, im.disk, "--upload-limit", "8MiB")
	r := recv(t, s.url, dev)
	code := r.wait()
	failed(t, im, r, code, dev, "at 0x")
	if took := r.end.Sub(d.Died()); took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
	uploaded(t, im, s)
}

func TestFileSystemFull(t *testing.T) {
	t.Parallel()
	im := newImage(t, 60, 512<<10)
	dir := t.TempDir()
	must(t, syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", im.t.Layout.Size/2)))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	target := filepath.Join(dir, "target.img")
	s := seed(t, im.torrent, im.disk)
	r := recv(t, s.url, target)
	failed(t, im, r, r.wait(), target, "at 0x")
	if msg := r.err.String(); !strings.Contains(msg, "no space left on device") {
		t.Error(msg)
	}
}

// A disk that takes everything and keeps something else is found out by --verify-after: it reads
// the disk, not the kernel's memory of what was written.
func TestVerifyAfterReadsTheDisk(t *testing.T) {
	t.Parallel()
	im := newImage(t, 40, 512<<10)
	for _, more := range [][]string{nil, {"--verify-after"}} {
		d, dev := faulty(t, im.blank())
		at := im.place(7)
		d.Set(faultfs.Rule{Op: faultfs.Write, From: at, To: at + 1, Lie: true})
		s := seed(t, im.torrent, im.disk)
		r := recv(t, s.url, dev, more...)
		code := r.wait()
		if n := count(im.right(d.Bytes())); n != len(im.t.Pieces)-1 {
			t.Fatalf("the disk holds %d right pieces, so it did not lie as it should", n)
		}
		if more == nil {
			continue // without the option it cannot know
		}
		if code != 3 || r.said("done") || !strings.Contains(r.err.String(), "1 of 40 pieces read back wrong") {
			t.Errorf("exit code %d: %s", code, r.err.String())
		}
	}
}

// A receiver that is killed at any moment has lost nothing that was on its disk.
func TestKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	im := newImage(t, 64, 256<<10)
	var kept atomic.Int64
	var all sync.WaitGroup
	for worker := range 4 {
		s := seed(t, im.torrent, im.disk, "--upload-limit", "8MiB")
		rng := rand.New(rand.NewPCG(1, uint64(worker)))
		all.Go(func() {
			for range 5 {
				kept.Add(killAndRerun(t, im, s, rng.IntN(len(im.t.Pieces))))
			}
		})
	}
	all.Wait()
	t.Logf("kept %d of %d pieces over 20 kills", kept.Load(), 20*len(im.t.Pieces))
	if kept.Load() > int64(19*len(im.t.Pieces)) {
		t.Error("the kills came too late")
	}
}

// killAndRerun kills a receiver when it has written so many pieces, and runs it again. It returns
// how many were there.
func killAndRerun(t *testing.T, im *image, s *seeding, pieces int) int64 {
	target := im.blankFile(t)
	r := recv(t, s.url, target, "--force")
	until(t, patience, fmt.Sprintf("%d pieces on the disk", pieces), func() bool {
		return count(im.right(readFile(t, target))) >= pieces
	})
	r.signal(syscall.SIGKILL)
	r.wait()
	right := im.right(readFile(t, target))
	r = recv(t, s.url, target, "--force")
	if r.wait() != 0 {
		t.Errorf("killed at %d pieces, run again: code %d", pieces, r.code)
	}
	im.check(t, readFile(t, target))
	var have int64
	for i, ok := range right {
		if _, n := im.t.Layout.Span(i); ok {
			have += n
		}
	}
	if e, ok := r.event("done", ""); !ok || e.KeptBytes != have || e.ReceivedBytes != im.t.Layout.Size-have {
		t.Errorf("%d bytes were right on the disk, %d were kept and %d received", have, e.KeptBytes, e.ReceivedBytes)
	}
	if err := os.Remove(target); err != nil {
		t.Error(err)
	}
	return int64(count(right))
}

// What an earlier run left is looked at while what is missing comes in: a large disk takes longer to
// read than its last pieces to receive. Nothing that is right is received again.
func TestResumeReceivesMeanwhile(t *testing.T) {
	t.Parallel()
	im := newImage(t, 128, 256<<10)
	old := im.blank()
	var missing int64
	for i := range im.t.Pieces {
		off, n := im.t.Layout.Span(i)
		if i%2 == 1 {
			missing += n
			continue
		}
		for e := range im.t.Map.Slices(off, n) {
			copy(old[e.Offset:e.End()], im.bytes[e.Offset:])
		}
	}
	d, dev := faulty(t, old)
	d.Record()
	s := seed(t, im.torrent, im.disk)
	d.Set(faultfs.Rule{Op: faultfs.Read, Delay: 60 * time.Millisecond})
	r := recv(t, s.url, dev)
	until(t, patience, "the end of the check", func() bool { return strings.Contains(r.err.String(), " were right on ") })
	checked := d.LastRead()
	r.success()
	im.check(t, d.Bytes())
	var came int64
	for _, e := range d.Log() {
		if e.At.Before(checked) {
			came += int64(len(e.Data))
		}
	}
	t.Logf("before the last of the check %d of the missing %d bytes were on the disk", came, missing)
	if came < missing/4 {
		t.Error("it waited for the check")
	}
	if e, _ := r.event("done", ""); e.KeptBytes != im.t.Layout.Size-missing || e.ReceivedBytes != missing {
		t.Errorf("%d bytes were missing; %d were kept and %d received", missing, e.KeptBytes, e.ReceivedBytes)
	}
	for _, e := range d.Log() {
		if e.Op == faultfs.Write && bytes.Equal(old[e.Offset:e.Offset+int64(len(e.Data))], e.Data) && len(e.Data) > 4096 {
			t.Errorf("what was right at %#x was written again", e.Offset)
		}
	}
}

// Whatever a power cut leaves, the same command finishes the job; and what was said to be done is
// there.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	im := newImage(t, 48, 256<<10)
	d, dev := faulty(t, im.blank())
	d.Record()
	s := seed(t, im.torrent, im.disk)
	slow := seed(t, im.torrent, im.disk, "--upload-limit", "6MiB") // so that writes come one after the other
	r := recv(t, slow.url, dev)
	r.success()
	done, ok := r.event("done", "")
	if !ok {
		t.Fatal("not done")
	}
	log := d.Log()
	writes := 0
	for _, e := range log {
		if e.Op == faultfs.Write {
			writes++
		}
	}
	t.Logf("%d writes and %d flushes", writes, len(log)-writes)
	var all sync.WaitGroup
	next := make(chan int, 50)
	for range 6 {
		all.Go(func() {
			for i := range next {
				afterPowerCut(t, im, d, s, i, done.Time)
			}
		})
	}
	for i := range 50 {
		next <- i
	}
	close(next)
	all.Wait()
}

func afterPowerCut(t *testing.T, im *image, d *faultfs.Disk, s *seeding, i int, done time.Time) {
	rng := rand.New(rand.NewPCG(2, uint64(i)))
	log := d.Log()
	at := rng.IntN(len(log) + 1)
	if i%5 == 0 {
		at = len(log)
	}
	left := d.PowerCut(at, rng)
	im.checkGaps(t, left)
	if at == len(log) || log[at].At.After(done) {
		im.check(t, left) // it was done
		return
	}
	target := filepath.Join(t.TempDir(), "target.img")
	if err := os.WriteFile(target, left, 0o600); err != nil {
		t.Error(err)
		return
	}
	if r := recv(t, s.url, target, "--force"); r.wait() != 0 {
		t.Errorf("cut %d: code %d", i, r.code)
	}
	im.check(t, readFile(t, target))
}

// A piece that the seed cannot read is withdrawn and named; all the others are served, and nobody
// is blamed.
func TestBadSectorOnTheSeed(t *testing.T) {
	t.Parallel()
	im := newImage(t, 40, 512<<10)
	d, dev := faulty(t, im.bytes)
	const piece = 21
	at := im.place(piece)
	s := seed(t, im.torrent, dev)
	d.Set(faultfs.Rule{Op: faultfs.Read, From: at, To: at + 4096, Err: syscall.EIO})
	must(t, dropped(dev))
	target := im.blankFile(t)
	r := recv(t, s.url, target, "--force")
	var right []bool
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("right: %v", right)
		}
	})
	until(t, patience, "all but one piece", func() bool {
		right = im.right(readFile(t, target))
		return count(right) == len(im.t.Pieces)-1
	})
	until(t, patience, "the seed names the place", func() bool {
		return strings.Contains(s.err.String(), fmt.Sprintf("piece %d is not served any more: read %s at 0x", piece, dev))
	})
	until(t, patience, "the receiver says what is missing", func() bool {
		return strings.Contains(r.err.String(), fmt.Sprintf("piece %d of %d (disk offset 0x", piece, len(im.t.Pieces)))
	})
	if r.said("done") {
		t.Error("it said done without the last piece")
	}
	// Somebody who has the piece turns up.
	good := seed(t, im.torrent, im.disk)
	r2 := recv(t, s.url, im.blankFile(t), "--force", "--peer", good.peer())
	r2.success()
	for _, p := range []*proc{r, r2, s.proc} {
		if p.said("peer_banned") {
			t.Errorf("%s banned somebody", p.name)
		}
	}
}

// A source that changes while it is served: receivers throw the piece away and ask again, by which the
// seed notices; it names the place and serves the rest.
func TestSourceChangesWhileServed(t *testing.T) {
	t.Parallel()
	im := newImage(t, 40, 512<<10)
	source := filepath.Join(t.TempDir(), "source.img")
	must(t, os.WriteFile(source, im.bytes, 0o600))
	s := seed(t, im.torrent, source)
	const piece = 21
	at := im.place(piece)
	f, err := os.OpenFile(source, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{im.bytes[at] ^ 1}, at)
	must(t, errors.Join(err, f.Close()))
	target := im.blankFile(t)
	r := recv(t, s.url, target, "--force")
	until(t, patience, "the seed names the place", func() bool {
		msg := s.err.String()
		return strings.Contains(msg, fmt.Sprintf("piece %d is not served any more: %s at 0x", piece, source)) && strings.Contains(msg, "the data has changed")
	})
	until(t, patience, "all but one piece", func() bool {
		return count(im.right(readFile(t, target))) == len(im.t.Pieces)-1
	})
	if r.said("done") {
		t.Error("it said done without the last piece")
	}
	if n := strings.Count(s.err.String(), "is not served any more"); n != 1 {
		t.Errorf("%d pieces were withdrawn", n)
	}
	good := seed(t, im.torrent, im.disk)
	recv(t, s.url, im.blankFile(t), "--force", "--peer", good.peer()).success()
}

// A target that cannot give a piece to another receiver is in doubt: the piece is fetched again and
// read from the device before anything is called done.
func TestTargetThatCannotBeReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		passes bool // the fault, once it is known
		code   int
	}{{"a passing fault", true, 0}, {"for good", false, 3}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			im := newImage(t, 40, 512<<10)
			d, dev := faulty(t, im.blank())
			s := seed(t, im.torrent, im.disk, "--upload-limit", "2MiB")
			a := recv(t, s.url, dev)
			peer := fmt.Sprintf("127.0.0.1:%d", a.await("start", "receiving").Port)
			piece := -1
			until(t, patience, "a piece on the device", func() bool {
				piece = slices.Index(im.right(d.Bytes()), true)
				return piece >= 0
			})
			at := im.place(piece)
			d.Set(faultfs.Rule{Op: faultfs.Read, From: at, To: at + 4096, Err: syscall.EIO})
			must(t, dropped(dev))
			recv(t, im.torrent, im.blankFile(t), "--force", "--peer", peer) // knows only a
			until(t, patience, "the bad place is named", func() bool {
				return strings.Contains(a.err.String(), fmt.Sprintf("piece %d: read %s at 0x", piece, dev))
			})
			if c.passes {
				d.Set()
			}
			if code := a.wait(); code != c.code || a.said("done") != (code == 0) {
				t.Errorf("exit code %d: %s", code, a.err.String())
			}
			if _, ok := a.event("start", "reading back"); !ok {
				t.Error("the piece was not read back")
			}
		})
	}
}

// dropped empties the kernel's cache of a device.
func dropped(dev string) error {
	f, err := os.Open(dev)
	if err != nil {
		return err
	}
	defer f.Close()
	const blkFlushBuffers = 0x1261
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), blkFlushBuffers, 0); errno != 0 {
		return errno
	}
	return nil
}
