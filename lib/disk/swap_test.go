// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A swapper turns a path into now one, now another thing, as fast as it can, until stopped.
type swapper struct {
	stop chan struct{}
	done sync.WaitGroup
	n    int // swaps
	err  error
}

// swap exchanges what two paths name, which leaves no moment in which either names nothing.
func swap(path, other string) *swapper {
	s := &swapper{stop: make(chan struct{})}
	s.done.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			default:
			}
			err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
			if s.err = err; err != nil {
				return
			}
			s.n++
		}
	})
	return s
}

func (s *swapper) end(t *testing.T) {
	t.Helper()
	close(s.stop)
	s.done.Wait()
	if s.err != nil || s.n < 100 {
		t.Fatalf("the path was swapped %d times, %v", s.n, s.err)
	}
	t.Logf("the path was swapped %d times", s.n)
}

// decoy is a file that must be refused, behind a symbolic link that can take the target's place.
func decoy(t *testing.T) (path, link, real string) {
	t.Helper()
	dir := t.TempDir()
	path, link, real = dir+"/decoy.img", dir+"/link", dir+"/real.img"
	if err := errors.Join(write(randomBytes(8, mib))(path), write(randomBytes(9, mib))(real)); err != nil {
		t.Fatal(err)
	}
	loopDevice(t, path)
	symlink(t, path, link)
	return path, link, real
}

// TestPathSwappedWhileOpening swaps the path for a link to a file in use: whichever of the two
// is opened must be the one that was checked.
func TestPathSwappedWhileOpening(t *testing.T) {
	decoyFile, link, real := decoy(t)
	before := digest(t, decoyFile)
	want, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	s := swap(real, link)
	opened, refusals := 0, 0
	for (opened < 100 || refusals < 100) && !t.Failed() {
		target, err := OpenTarget(real, TargetOptions{Need: mib})
		if err != nil {
			refusals++
			continue
		}
		opened++
		if st, err := target.File().Stat(); err != nil || !os.SameFile(st, want) {
			t.Errorf("opened the decoy (%v)", err)
		}
		if _, err := target.WriteAt(randomBytes(10, 4096), 0); err != nil {
			t.Error(err)
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
	s.end(t)
	if digest(t, decoyFile) != before {
		t.Error("the decoy was written")
	}
}

// TestReopen swaps the path at the worst moment, between the look at it and the open.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path, other := dir+"/x", dir+"/other"
	if err := errors.Join(write([]byte("found"))(path), write([]byte("other"))(other)); err != nil {
		t.Fatal(err)
	}
	fd, _, err := locate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	f, err := reopen(fd, path, unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 5)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "found" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestPathSwappedWhileWriting swaps the path of an open target.
func TestPathSwappedWhileWriting(t *testing.T) {
	decoyFile, link, real := decoy(t)
	before := digest(t, decoyFile)
	target := mustTarget(t, real, TargetOptions{Need: mib})
	s := swap(real, link)
	data := randomBytes(11, mib)
	for round := 0; round < 100; round++ {
		for off := 0; off < mib; off += 64 << 10 {
			if _, err := target.WriteAt(data[off:off+64<<10], int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := target.Sync(); err != nil {
		t.Error(err)
	}
	s.end(t)
	if digest(t, decoyFile) != before {
		t.Error("the decoy was written")
	}
	got := make([]byte, mib)
	if _, err := target.ReadAt(got, 0); err != nil || string(got) != string(data) {
		t.Errorf("the target does not hold what was written (%v)", err)
	}
}

// TestPathAppearsWhileCreating starts two receivers on one new file: one gets it.
func TestPathAppearsWhileCreating(t *testing.T) {
	dir := t.TempDir()
	for range 1000 {
		path := filepath.Join(dir, "x.img")
		var targets [2]*Target
		var errs [2]error
		var both sync.WaitGroup
		for i := range targets {
			both.Go(func() { targets[i], errs[i] = OpenTarget(path, TargetOptions{Need: mib}) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("two at once: %v, %v", errs[0], errs[1])
		}
		for i, target := range targets {
			if errs[i] != nil {
				continue
			}
			if target.Size() != mib || !target.Fresh() {
				t.Errorf("size %d, fresh %v", target.Size(), target.Fresh())
			}
			mine, err := target.File().Stat()
			if err != nil {
				t.Fatal(err)
			}
			if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
				t.Fatalf("the target is a file that has lost its name (%v)", err)
			}
			if err := target.Abandon(); err != nil {
				t.Error(err)
			}
		}
	}
}
