// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ezio/lib/btinfo"
	"ezio/lib/capture/blockmap"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/partclone"
	"ezio/lib/partclone/fstest"
	"ezio/lib/piece"
)

// clone is what partclone -c writes.
func clone(t *testing.T, program, source string) []byte {
	t.Helper()
	return []byte(fstest.Run(t, program, "-c", "-q", "-f", "0", "-L", "/dev/null", "-s", source, "-o", "-"))
}

// classic is the torrent.info that partclone writes itself.
func classic(t *testing.T, program, source string) *btinfo.Info {
	t.Helper()
	dir := t.TempDir()
	fstest.Run(t, program, "-c", "-t", "-q", "-f", "0", "-L", "/dev/null", "-s", source, "-o", dir)
	f, err := os.Open(filepath.Join(dir, "torrent.info"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := btinfo.Read(f)
	if err == nil {
		err = info.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// lines collects what a capture says.
type lines struct{ strings.Builder }

func (l *lines) log(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }

// fsck are the checkers of those filesystems that have one, none of which changes anything.
var fsck = map[string][]string{
	"ext4-1k": {"e2fsck", "-fn"}, "ext4-4k": {"e2fsck", "-fn"}, "ext3": {"e2fsck", "-fn"}, "ext2": {"e2fsck", "-fn"},
	"xfs": {"xfs_repair", "-n", "-f"}, "btrfs": {"btrfs", "check", "--readonly"},
	"fat32": {"fsck.fat", "-n"}, "fat16": {"fsck.fat", "-n"}, "exfat": {"fsck.exfat", "-n"},
	"f2fs": {"fsck.f2fs", "--dry-run"}, "ntfs": {"ntfsfix", "-n"}, "minix": {"fsck.minix", "-f"},
}

// For every filesystem: from partclone's image, from the file and from a loop device we get what
// partclone's own torrent.info says, sums included, and the raw image written on the way is a
// filesystem that its checker finds sound. Of NTFS we have, from a file or device, one extent more,
// which is the last one: the copy of the boot sector behind the last block, without which ntfsfix
// finds fault.
func TestAsPartclone(t *testing.T) {
	for _, k := range fstest.Kinds {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel() // partclone sleeps more than it works
			source := k.Make(t)
			want := classic(t, k.Program, source)
			raw := filepath.Join(t.TempDir(), "raw.img")
			var said lines
			opt := Options{PieceLength: piece.Partclone, Log: said.log}

			check := func(from string, opt Options, do func(Options) (*btinfo.Info, error)) {
				t.Helper()
				got, err := do(opt)
				if err != nil {
					t.Fatalf("%s: %v", from, err)
				}
				records, pieces := extent.Coalesce(want.Records), want.Pieces
				if k.Name == "ntfs" && from != "image" {
					records = append(records, extent.Extent{Offset: fstest.Size - 512, Length: 512})
					last := len(pieces) - 1
					pieces = append(pieces[:last:last], got.Pieces[last:]...)
				}
				if !slices.Equal(got.Records, records) {
					t.Errorf("%s: %d extents, partclone's are %d", from, len(got.Records), len(records))
				}
				if !slices.Equal(got.Pieces, pieces) {
					t.Errorf("%s: the sums differ from partclone's", from)
				}
				if got.BlockSize != want.BlockSize || got.BlocksTotal != want.BlocksTotal || got.Filesystem == "raw" || got.Filesystem == "" {
					t.Errorf("%s: %s of %d blocks of %d, want %d of %d", from, got.Filesystem, got.BlocksTotal, got.BlockSize, want.BlocksTotal, want.BlockSize)
				}
			}
			image := clone(t, k.Program, source)
			check("image", opt, func(o Options) (*btinfo.Info, error) { return Image(t.Context(), bytes.NewReader(image), o) })
			check("loop device", opt, func(o Options) (*btinfo.Info, error) { return Source(t.Context(), fstest.Loop(t, source), o) })
			opt.Image = raw
			check("file", opt, func(o Options) (*btinfo.Info, error) { return Source(t.Context(), source, o) })
			if said.Len() > 0 {
				t.Errorf("said %s", &said)
			}
			if st, err := os.Stat(raw); err != nil || st.Size() != fstest.Size {
				t.Errorf("raw image: %v, %v", st, err)
			}
			if c := fsck[k.Name]; c != nil {
				fstest.Run(t, c[0], append(c[1:len(c):len(c)], raw)...)
			}
		})
	}
}

// noise fills a file with what no program recognises.
func noise(t *testing.T, name string, size int) (string, []byte) {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b
}

// small is a partclone image of the test's own, of an ext4 with a few files.
func small(t *testing.T) (source string, image []byte) {
	t.Helper()
	source = fstest.Named(t, "ext4-4k").Make(t)
	return source, clone(t, "partclone.extfs", source)
}

func TestPieceLength(t *testing.T) {
	path, b := noise(t, "disk", 3<<20+5)
	for asked, want := range map[int64]int64{0: 256 << 10, 1 << 20: 1 << 20, 64 << 20: 64 << 20, 16 << 10: 16 << 10} {
		var seen []int64
		info, err := Source(t.Context(), path, Options{Raw: true, PieceLength: asked, Progress: func(done, total int64) {
			if total != int64(len(b)) {
				t.Errorf("progress to %d of %d", done, total)
			}
			seen = append(seen, done)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if info.PieceLength != want || info.Pieces[0] != piece.Sum(b[:min(want, int64(len(b)))]) || info.Check() != nil {
			t.Errorf("asked for %d: %d", asked, info.PieceLength)
		}
		if !slices.IsSorted(seen) || seen[0] != 0 || seen[len(seen)-1] != int64(len(b)) {
			t.Errorf("progress %v", seen)
		}
		if info.BlockSize != 0 || info.DeviceSize != int64(len(b)) || info.Filesystem != "raw" || info.Source != path {
			t.Errorf("%+v", info)
		}
	}
	for _, bad := range []int64{1, 3 << 20, 128 << 20} {
		if _, err := Source(t.Context(), path, Options{PieceLength: bad}); err == nil {
			t.Errorf("no error for a piece length of %d", bad)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Source(t.Context(), empty, Options{}); err == nil || !strings.Contains(err.Error(), "nothing to capture") {
		t.Errorf("an empty file: %v", err)
	}
	var refused *disk.RefusedError
	if _, err := Source(t.Context(), t.TempDir(), Options{}); !errors.As(err, &refused) {
		t.Errorf("a directory: %v", err)
	}
}

// Where used blocks cannot be told, every block is captured and a line says why.
func TestEveryBlock(t *testing.T) {
	everything := func(t *testing.T, path, want string) {
		t.Helper()
		var said lines
		info, err := Source(t.Context(), path, Options{Log: said.log})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), want) || strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), "every block") {
			t.Errorf("said %q, want %q in it", &said, want)
		}
		size := info.DeviceSize
		if !slices.Equal(info.Records, []extent.Extent{{Length: size}}) || size == 0 || info.Filesystem != "raw" ||
			info.BlockSize != 512 || info.BlocksTotal != size/512 {
			t.Errorf("%+v", info.Records)
		}
	}
	t.Run("noise", func(t *testing.T) {
		path, _ := noise(t, "disk", 1<<20)
		everything(t, path, "no filesystem recognised")
	})
	t.Run("a partition table and a filesystem", func(t *testing.T) {
		path := fstest.Named(t, "ext4-4k").Make(t)
		fstest.Run(t, "sh", "-c", `echo 'start=2048, type=83' | sfdisk -q --wipe never --label dos "$0"`, path)
		everything(t, path, "holds both ext4 and a partition table (dos)")
	})
	t.Run("a partition table that is damaged", func(t *testing.T) {
		path, _ := noise(t, "disk", 8<<20)
		fstest.Run(t, "sh", "-c", `echo 'start=2048, type=83' | sfdisk -q --label dos "$0"`, path)
		if err := os.Truncate(path, 4<<20); err != nil {
			t.Fatal(err)
		}
		everything(t, path, "beyond the disk's")
	})
	t.Run("no program", func(t *testing.T) {
		path, _ := noise(t, "disk", 8<<20)
		fstest.Run(t, "mkfs.cramfs", t.TempDir(), path)
		everything(t, path, "cramfs: partclone has no program for it")
	})
	t.Run("damaged", func(t *testing.T) {
		path := fstest.Named(t, "ext4-4k").Make(t)
		// Block and inode bitmaps of group 0 are wiped; the superblock stays.
		fstest.Run(t, "debugfs", "-w", "-R", "freeb 2000 500", path)
		everything(t, path, "partclone.extfs: exit status 1")
	})
	t.Run("cut off", func(t *testing.T) {
		path := fstest.Named(t, "fat32").Make(t)
		if err := os.Truncate(path, 100<<20); err != nil {
			t.Fatal(err)
		}
		everything(t, path, "its device only 104857600")
	})
	t.Run("program not installed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ufs")
		b := make([]byte, 1<<20)
		copy(b[8192+1372:], "\x54\x19\x01\x00") // fs_magic of UFS1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		everything(t, path, "ufs: partclone.ufs is not installed")
	})
	for name, mkfs := range map[string][]string{"ext4": {"mkfs.ext4", "-q", "-F"}, "xfs": {"mkfs.xfs", "-q", "-f"}, "btrfs": {"mkfs.btrfs", "-q", "-f"}} {
		t.Run("in use when copied: "+name, func(t *testing.T) {
			path, _ := noise(t, "disk", 0)
			if err := os.Truncate(path, fstest.Size); err != nil {
				t.Fatal(err)
			}
			fstest.Run(t, mkfs[0], append(mkfs[1:], path)...)
			dev := fstest.Loop(t, path)
			m := fstest.Mount(t, name, dev)
			dirty := filepath.Join(t.TempDir(), "dirty.img")
			for range 20 { // btrfs has now and then just committed everything
				fstest.Run(t, "dd", "if=/dev/urandom", "of="+m.Dir+"/x", "bs=1M", "count=3", "conv=fsync")
				fstest.Run(t, "cp", "--sparse=always", dev, dirty)
				if errors.Is(journalOf(t, dirty, name), blockmap.ErrJournal) {
					break
				}
			}
			m.Now()
			everything(t, dirty, "journal")
		})
	}
}

// journalOf says whether a copy was taken at a moment when the journal held something.
func journalOf(t *testing.T, image, fsType string) error {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	program, _ := partclone.ProgramFor(fsType)
	return blockmap.Check(f, program.Filesystem)
}

// --raw takes everything and says nothing; --fs insists.
func TestRawAndFilesystem(t *testing.T) {
	path := fstest.Named(t, "ext4-4k").Make(t)
	var said lines
	info, err := Source(t.Context(), path, Options{Raw: true, Log: said.log})
	if err != nil || said.Len() > 0 || !slices.Equal(info.Records, []extent.Extent{{Length: fstest.Size}}) {
		t.Errorf("raw: %+v, %v, said %q", info, err, &said)
	}
	info, err = Source(t.Context(), path, Options{Filesystem: "EXT4", Log: said.log})
	if err != nil || said.Len() > 0 || info.Filesystem != "EXTFS" {
		t.Errorf("ext4: %+v, %v, said %q", info, err, &said)
	}
	for fsType, want := range map[string]error{"vfat": nil, "zfs": ErrUnknownFilesystem} {
		var unknown *MapError
		_, err := Source(t.Context(), path, Options{Filesystem: fsType, Log: said.log})
		if !errors.As(err, &unknown) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", fsType, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, opt := range []Options{{}, {Filesystem: "ext4"}, {Raw: true}} {
		if _, err := Source(cancelled, path, opt); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled, %+v: %v", opt, err)
		}
	}
}

// A device larger than its filesystem: what is behind the filesystem is not in use.
func TestTail(t *testing.T) {
	path := fstest.Named(t, "ext4-4k").Make(t)
	want, err := Source(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("tail"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Source(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Records, want.Records) || got.BlocksTotal != want.BlocksTotal || got.DeviceSize != fstest.Size+4<<20 {
		t.Errorf("%d records, want %d; %+v", len(got.Records), len(want.Records), got.DeviceSize)
	}
}

func TestMounted(t *testing.T) {
	path := fstest.Named(t, "ext4-4k").Make(t)
	dev := fstest.Loop(t, path)
	m := fstest.Mount(t, "ext4", dev)
	for _, source := range []string{dev, path} {
		var refused *disk.RefusedError
		if _, err := Source(t.Context(), source, Options{}); !errors.As(err, &refused) || !strings.Contains(refused.Reason, m.Dir) || !strings.Contains(refused.Hint, "--force") {
			t.Errorf("%s: %v", source, err)
		}
	}
	var said lines
	info, err := Source(t.Context(), dev, Options{Force: true, Log: said.log})
	if err != nil || !strings.Contains(said.String(), "may be inconsistent") || info.Filesystem != "raw" {
		t.Errorf("forced: %v, said %q", err, &said)
	}
	// Read-only it does not change. partclone refuses it nevertheless.
	fstest.Run(t, "mount", "-o", "remount,ro", m.Dir)
	said.Reset()
	info, err = Source(t.Context(), dev, Options{Log: said.log})
	if err != nil || !strings.Contains(said.String(), "every block") || info.Filesystem != "raw" {
		t.Errorf("read-only: %v, said %q", err, &said)
	}
	fstest.Run(t, "mount", "-o", "remount,rw", m.Dir)
	m.Now()

	// Mounted while it is read: what was read cannot be trusted.
	mounted := false
	_, err = Source(t.Context(), dev, Options{Progress: func(done, total int64) {
		if done == total && !mounted {
			mounted = true
			m = fstest.Mount(t, "ext4", dev)
		}
	}})
	var refused *disk.RefusedError
	if !mounted || !errors.As(err, &refused) {
		t.Errorf("mounted meanwhile (%v): %v", mounted, err)
	}
}

// A source that ends before its blocks do, as a failing disk would: the error says where.
func TestReadError(t *testing.T) {
	path := fstest.Named(t, "ext4-4k").Make(t)
	cut := false
	_, err := Source(t.Context(), path, Options{Progress: func(_, _ int64) {
		if !cut {
			cut = true
			if err := os.Truncate(path, 5<<20); err != nil {
				t.Error(err)
			}
		}
	}})
	var at *extent.IOError
	if !errors.As(err, &at) || at.Path != path || at.Offset != 5<<20 {
		t.Errorf("%v", err)
	}
}

func TestMain(m *testing.M) { fstest.Main(m) }

// A source that is written to while it is read is no capture, unless the caller insists.
func TestWrittenMeanwhile(t *testing.T) {
	path, _ := noise(t, "disk", 3<<20)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, source := range []string{path, fstest.Loop(t, path)} {
		dev, err := os.OpenFile(source, os.O_WRONLY|os.O_SYNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		image := filepath.Join(t.TempDir(), "raw.img")
		opt := Options{Raw: true, Image: image, Progress: func(done, _ int64) {
			if done == 0 {
				if _, err := dev.WriteAt([]byte("changed"), 2<<20); err != nil {
					t.Error(err)
				}
			}
		}}
		if _, err := Source(t.Context(), source, opt); !errors.Is(err, ErrWritten) {
			t.Errorf("%s: %v", source, err)
		}
		if _, err := os.Stat(image); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the image is there: %v", source, err)
		}
		var said lines
		opt.Force, opt.Log = true, said.log
		if _, err := Source(t.Context(), source, opt); err != nil || !strings.Contains(said.String(), "warning") {
			t.Errorf("%s, with force: %v, said %q", source, err, &said)
		}
	}
}

// Of swap only the header is captured, which holds UUID and label, whatever the size of a page; with Raw
// all of it.
func TestSwap(t *testing.T) {
	for _, page := range []int64{4096, 65536} {
		path, b := noise(t, "disk", 8<<20)
		fstest.Run(t, "mkswap", "-q", "-L", "pages", "-p", fmt.Sprint(page), path)
		var said lines
		info, err := Source(t.Context(), path, Options{Log: said.log})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(info.Records, []extent.Extent{{Length: page}}) || info.Filesystem != "swap" || info.DeviceSize != int64(len(b)) {
			t.Errorf("pages of %d: %+v", page, info)
		}
		if !strings.Contains(said.String(), "header only") {
			t.Errorf("said %q", &said)
		}
		if info, err = Source(t.Context(), path, Options{Raw: true}); err != nil || info.Records[0].Length != int64(len(b)) {
			t.Errorf("raw: %+v, %v", info.Records, err)
		}
	}
}
