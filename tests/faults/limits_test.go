// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ezio/lib/extent"
)

// cgroup makes a memory control group with a limit in bytes, of version 1 or 2 as the system has
// it, and returns the file that takes processes in.
func cgroup(t testing.TB, limit int64) (dir, procs string) {
	t.Helper()
	root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root, file = "/sys/fs/cgroup", "memory.max"
		must(t, os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory"), 0o644))
	}
	dir, err := os.MkdirTemp(root, "ezio-faults-")
	must(t, err)
	t.Cleanup(func() {
		until(t, patience, "an empty cgroup", func() bool {
			err := syscall.Rmdir(dir)
			return err == nil || !errors.Is(err, syscall.EBUSY)
		})
	})
	must(t, os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0o644))
	return dir, filepath.Join(dir, "cgroup.procs")
}

// limited is a command in a cgroup of its own, with so many descriptors.
func limited(t testing.TB, memory int64, files int, args ...string) []string {
	_, procs := cgroup(t, memory)
	if strings.HasPrefix(args[0], "ezio-") {
		args[0] = filepath.Join(bin, args[0])
	}
	return append([]string{"sh", "-c", fmt.Sprintf(`echo $$ >%s && ulimit -n %d && exec "$@"`, procs, files), "sh"}, args...)
}

// On machines of 192 MiB and 64 descriptors it works, also with partclone's pieces of 16 MiB, and when
// strangers hold connections.
func TestSmallMachines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pieces int
		length int64
	}{{256, 1 << 20}, {16, 16 << 20}} {
		t.Run(fmt.Sprintf("%d pieces of %d MiB", c.pieces, c.length>>20), func(t *testing.T) { onSmallMachines(t, newImage(t, c.pieces, c.length)) })
	}
}

func onSmallMachines(t *testing.T, im *image) {
	const machines = 3
	small := func(args ...string) *proc { return start(t, limited(t, 192*mib, 64, args...)...) }
	s := small("ezio-seed", "-t", im.torrent, "-d", im.disk, "--listen", "127.0.0.1:0",
		"--tracker-listen", "127.0.0.1:0", "--progress", "json")
	e := s.await("start", "serving")
	for i := range 80 { // half of them shake hands, and are silent then
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.Port))
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if i%2 == 0 {
			go func() { greet(im, c) }()
		}
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/a.torrent", e.TrackerPort)
	var all []*proc
	dir := t.TempDir()
	for i := range machines {
		all = append(all, small("ezio-recv", "-t", url, "-d", fmt.Sprintf("%s/%d.img", dir, i), "--listen", "127.0.0.1:0",
			"--seed-idle", "2s", "--verify-after", "--progress", "json"))
	}
	for _, r := range all {
		r.success()
	}
	for i := range machines {
		path := fmt.Sprintf("%s/%d.img", dir, i)
		if n := count(im.right(readFile(t, path))); n != len(im.t.Pieces) {
			t.Errorf("%s: %d pieces right", path, n)
		}
	}
}

// Where it cannot work it says what is missing, and has not touched the target.
func TestTooSmallMachine(t *testing.T) {
	t.Parallel()
	im := newImage(t, 2, 16<<20)
	target := filepath.Join(t.TempDir(), "target.img")
	r := start(t, limited(t, 112*mib, 64, "ezio-recv", "-t", im.torrent, "-d", target, "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:9")...)
	if code := r.wait(); code != 1 || !strings.Contains(r.err.String(), "of memory, and receiving pieces of 16 MiB needs 128 MiB") {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the target was made")
	}
}

// Several targets of one machine take turns where there is not memory for all.
func TestSeveralTargetsSmallMachine(t *testing.T) {
	t.Parallel()
	dir, conf := t.TempDir(), ""
	var ims []*image
	for i := range 3 {
		im := newImage(t, 100+i, 1<<20)
		s := seed(t, im.torrent, im.disk)
		conf += fmt.Sprintf("TORRENT=%s\nTARGET=%s/%d.img\n", s.url, dir, i)
		ims = append(ims, im)
	}
	path := filepath.Join(dir, "ezio.conf")
	must(t, os.WriteFile(path, []byte(conf), 0o644))
	r := start(t, limited(t, 192*mib, 64, "ezio-recv", "--config", path, "--listen", "127.0.0.1:0", "--seed-idle", "0", "--progress", "json")...)
	r.success()
	for i, im := range ims {
		if n := count(im.right(readFile(t, fmt.Sprintf("%s/%d.img", dir, i)))); n != len(im.t.Pieces) {
			t.Errorf("target %d: %d pieces right", i, n)
		}
	}
	if _, queued := r.event("start", "queued"); !queued {
		t.Error("nothing had to wait")
	}
}

// A btfiles directory of more files than may be open is served all the same.
func TestManyFilesFewDescriptors(t *testing.T) {
	t.Parallel()
	im := newImage(t, 400, 32<<10)
	dir := t.TempDir()
	files := 0
	for e := range im.t.Map.All() {
		must(t, os.WriteFile(filepath.Join(dir, extent.Name(e.Offset)), im.bytes[e.Offset:e.End()], 0o600))
		files++
	}
	if files < 100 {
		t.Fatalf("only %d files", files)
	}
	s := start(t, limited(t, 192*mib, 64, "ezio-seed", "-t", im.torrent, "-d", dir, "--listen", "127.0.0.1:0",
		"--tracker-listen", "127.0.0.1:0", "--check", "--progress", "json")...)
	url := fmt.Sprintf("http://127.0.0.1:%d/a.torrent", s.await("start", "serving").TrackerPort)
	target := im.blankFile(t)
	recv(t, url, target, "--force").success()
	im.check(t, readFile(t, target))
	if msg := s.err.String(); strings.Contains(msg, "too many open files") {
		t.Error(msg)
	}
}
