// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSource(t *testing.T) {
	img := imageFile(t, mib+512+7)
	want := randomBytes(1, mib+512+7)
	dev := loopDevice(t, img, "--read-only")
	link := filepath.Join(t.TempDir(), "link")
	symlink(t, img, link)
	for _, c := range []struct {
		path   string
		size   int64 // a device has no part of a sector
		device bool
		sector int
	}{{img, mib + 512 + 7, false, 1}, {link, mib + 512 + 7, false, 1}, {dev, mib + 512, true, 512}} {
		s, err := OpenSource(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Size() != c.size || s.IsDevice() != c.device || s.SectorSize() != c.sector || s.Path() != c.path {
			t.Errorf("%s: size %d, device %v, sector %d", c.path, s.Size(), s.IsDevice(), s.SectorSize())
		}
		if _, err := s.File().Seek(5, io.SeekStart); err != nil {
			t.Error(err)
		}
		if n, err := Size(s.File()); n != c.size || err != nil {
			t.Errorf("Size %d, %v", n, err)
		}
		if pos, err := s.File().Seek(0, io.SeekCurrent); pos != 5 || err != nil {
			t.Errorf("Size moved the position to %d, %v", pos, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(s, 0, 2*mib))
		if err != nil || string(got) != string(want[:c.size]) {
			t.Errorf("%s: read %d bytes, %v", c.path, len(got), err)
		}
		if _, err := s.File().Write([]byte{1}); err == nil {
			t.Errorf("%s: a source can be written", c.path)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSourceRefused(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:           "it is a directory",
		dir + "/fifo": "it is a fifo",
		dir + "/no":   "it does not exist",
		"/dev/null":   "it is a character device",
		"":            "it does not exist",
	} {
		s, err := OpenSource(path)
		if s != nil || err == nil || err.Error() != "refuse "+path+": "+want {
			t.Errorf("%q: %v", path, err)
		}
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%T", err)
		}
	}
	if _, err := os.Stat(dir + "/no"); err == nil {
		t.Error("created")
	}
}

func TestSizeOfNoDisk(t *testing.T) {
	for _, path := range []string{"/dev/null", t.TempDir()} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if n, err := Size(f); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func TestMountedReadWrite(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name string
		make func(t *testing.T) (path, mountpoint string)
	}{
		{"not mounted", func(t *testing.T) (string, string) { _, dev := ext4Loop(t); return dev, "" }},
		{"file", func(t *testing.T) (string, string) { return imageFile(t, mib), "" }},
		{"mounted", func(t *testing.T) (string, string) { _, dev := ext4Loop(t); return dev, mountAt(t, dev) }},
		{"mounted read-only", func(t *testing.T) (string, string) {
			_, dev := ext4Loop(t)
			mountAt(t, dev, "-o", "ro")
			return dev, ""
		}},
		{"mounted read-write, seen at a read-only mount point", func(t *testing.T) (string, string) {
			_, dev := ext4Loop(t)
			dir := mountAt(t, dev)
			run(t, "mount", "-o", "remount,bind,ro", dir)
			return dev, dir
		}},
		{"loop-mounted file", func(t *testing.T) (string, string) {
			img, dev := ext4Loop(t)
			return img, mountAt(t, dev)
		}},
		{"disk", func(t *testing.T) (string, string) {
			_, dev := partitioned(t)
			ext4(t, dev+"p2")
			return dev, mountAt(t, dev+"p2")
		}},
		{"file with a mounted partition", func(t *testing.T) (string, string) {
			img, dev := partitioned(t)
			ext4(t, dev+"p2")
			return img, mountAt(t, dev+"p2")
		}},
		{"partition beside a mounted one", func(t *testing.T) (string, string) {
			_, dev := partitioned(t)
			ext4(t, dev+"p2")
			mountAt(t, dev+"p2")
			return dev + "p1", ""
		}},
		{"partition of a mounted disk", func(t *testing.T) (string, string) {
			img, dev := partitioned(t)
			ext4(t, img)
			return dev + "p1", mountAt(t, dev)
		}},
		{"device below a mounted loop device", func(t *testing.T) (string, string) {
			_, dev := ext4Loop(t)
			return dev, mountAt(t, loopDevice(t, dev))
		}},
		{"loop device over a mounted device", func(t *testing.T) (string, string) {
			_, dev := ext4Loop(t)
			return loopDevice(t, dev), mountAt(t, dev)
		}},
		{"member of a btrfs", func(t *testing.T) (string, string) {
			_, a, b := btrfsPair(t)
			return b, mountAt(t, a)
		}},
		{"mounted in another mount namespace", func(t *testing.T) (string, string) {
			_, dev := ext4Loop(t)
			return dev, mountElsewhere(t, dev) + " (in the mount namespace of process "
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, want := c.make(t)
			got, ok, err := MountedReadWrite(path)
			if err != nil {
				t.Fatal(err)
			}
			if ok != (want != "") || !strings.HasPrefix(got, want) || (want == "" && got != "") {
				t.Errorf("%q, %v, want %q", got, ok, want)
			}
		})
	}
	if _, _, err := MountedReadWrite(filepath.Join(t.TempDir(), "no")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}
