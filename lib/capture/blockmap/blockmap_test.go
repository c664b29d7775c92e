// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ezio/lib/partclone/fstest"
)

func TestMain(m *testing.M) { fstest.Main(m) }

func pending(t *testing.T, image, filesystem string) bool {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Check(f, filesystem)
	if err != nil && err != ErrJournal && err != ErrWindows {
		t.Fatal(err)
	}
	return err != nil
}

func mkfs(t *testing.T, args ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "fs.img")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, fstest.Size)); err != nil {
		t.Fatal(err)
	}
	fstest.Run(t, args[0], append(args[1:], image)...)
	return image
}

// A filesystem is made, used, copied while it is in use, and unmounted. Only the copy has a
// journal to be replayed, and it has none any more once it was mounted.
func TestLifeOfAFilesystem(t *testing.T) {
	for _, tt := range []struct {
		name, filesystem, driver string
		mkfs                     []string
		options                  []string
	}{
		{"ext4", "EXTFS", "ext4", []string{"mkfs.ext4", "-q", "-F"}, nil},
		{"ext3", "EXTFS", "ext3", []string{"mkfs.ext3", "-q", "-F"}, nil},
		{"btrfs", "BTRFS", "btrfs", []string{"mkfs.btrfs", "-q", "-f"}, nil},
		{"xfs", "XFS", "xfs", []string{"mkfs.xfs", "-q", "-f"}, []string{"nouuid"}},
		{"xfs log stripes", "XFS", "xfs", []string{"mkfs.xfs", "-q", "-f", "-l", "su=256k"}, []string{"nouuid"}},
		{"xfs 4k sectors", "XFS", "xfs", []string{"mkfs.xfs", "-q", "-f", "-s", "size=4096"}, []string{"nouuid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := mkfs(t, tt.mkfs...)
			if pending(t, image, tt.filesystem) {
				t.Error("pending after mkfs")
			}
			dev := fstest.Loop(t, image)
			m := fstest.Mount(t, tt.driver, dev, tt.options...)
			dirty := filepath.Join(t.TempDir(), "dirty.img")
			found := false
			for range 20 { // btrfs has now and then just committed everything
				fstest.Run(t, "dd", "if=/dev/urandom", "of="+m.Dir+"/x", "bs=1M", "count=3", "conv=fsync")
				fstest.Run(t, "cp", "--sparse=always", dev, dirty)
				if found = pending(t, dirty, tt.filesystem); found {
					break
				}
			}
			if !found {
				t.Error("not pending while in use")
			}
			m.Now()
			if pending(t, image, tt.filesystem) {
				t.Error("pending after unmount")
			}
			fstest.Mount(t, tt.driver, fstest.Loop(t, dirty), tt.options...).Now()
			if pending(t, dirty, tt.filesystem) {
				t.Error("pending after it was mounted and unmounted")
			}
		})
	}
}

// The log goes round and round: the unmount record is found wherever it is.
func TestXFSLogWraps(t *testing.T) {
	for _, name := range []string{"TEST_DIR", "TEST_DEV", "QA_CHECK_FS"} {
		t.Setenv(name, "1") // lets mkfs.xfs make a log of less than 64 MiB
	}
	image := mkfs(t, "mkfs.xfs", "-q", "-f", "-l", "size=2560b")
	dev := fstest.Loop(t, image)
	for round := range 12 {
		m := fstest.Mount(t, "xfs", dev)
		// The number varies so that the unmount record lies somewhere else each time.
		fstest.Run(t, "bash", "-c", `cd "$0" && mkdir d && for ((i = 0; i < $1; i++)); do >d/$i; done && sync && rm -r d`, m.Dir, fmt.Sprint(5000+round*321))
		m.Now()
		if pending(t, image, "XFS") {
			t.Errorf("pending after unmount %d", round+1)
		}
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := xfsLogOf(f)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := l.cycle(0); err != nil || c < 3 {
		t.Errorf("the log is in its cycle %d only, %v", c, err)
	}
}

// xfsWith makes the superblock and log of an XFS, the log of blocks blocks in its cycle 5 up to
// head and its cycle 4 from there, with an unmount record before head.
func xfsWith(blocks, head int, edit func(record, op []byte)) []byte {
	be := binary.BigEndian
	disk := make([]byte, 4096+blocks*512)
	copy(disk, "XFSB")
	be.PutUint32(disk[4:], 512)
	be.PutUint64(disk[48:], 8)
	be.PutUint32(disk[84:], 1000)
	be.PutUint32(disk[96:], uint32(blocks))
	disk[124] = 10
	at := func(n int) []byte { return disk[4096+(n+blocks)%blocks*512:][:512] }
	for n := range blocks {
		be.PutUint32(at(n), 4)
		if n < head {
			be.PutUint32(at(n), 5)
		}
	}
	record, op := at(head-2), at(head-1)
	copy(record[4:], record[:4])
	be.PutUint32(record, xfsRecordMagic)
	be.PutUint32(record[12:], 512)
	be.PutUint32(record[40:], 1)
	op[9] = xfsUnmount
	edit(record, op)
	return disk
}

// The unmount record is found at every place of the ring, also where it runs over its end, and
// nothing that is not one is taken for it.
func TestXFSUnmountRecord(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(record, op []byte)
		want error
	}{
		"unmount":         {func(_, _ []byte) {}, nil},
		"other operation": {func(_, op []byte) { op[9] = 1 }, ErrJournal},
		"two operations":  {func(record, _ []byte) { record[43] = 2 }, ErrJournal},
		"longer":          {func(record, _ []byte) { record[14] = 4 }, ErrJournal},
		"no record":       {func(record, _ []byte) { copy(record, record[4:8]) }, ErrJournal},
	} {
		for head := range 20 {
			if err := Check(bytes.NewReader(xfsWith(20, head, tt.edit)), "XFS"); err != tt.want {
				t.Errorf("%s, head %d: %v", name, head, err)
			}
		}
	}
}

// Of a btrfs on two devices neither can be captured by itself.
func TestDevices(t *testing.T) {
	one, two := mkfs(t, "true"), mkfs(t, "true")
	fstest.Run(t, "mkfs.btrfs", "-q", "-f", "-m", "raid1", "-d", "raid0", one, two)
	for _, image := range []string{one, two} {
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := Check(f, "BTRFS"); err != ErrDevices {
			t.Errorf("%v", err)
		}
	}
}

// An XFS whose log is on another device.
func TestXFSExternalLog(t *testing.T) {
	image, log := mkfs(t, "true"), mkfs(t, "true")
	fstest.Run(t, "mkfs.xfs", "-q", "-f", "-l", "logdev="+log+",size=64m", image)
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Check(f, "XFS"); err != ErrDevices {
		t.Errorf("%v", err)
	}
}

// f2fs and HFS+ cannot be mounted everywhere, so their flags are set by hand.
func TestFAT12(t *testing.T) {
	for bits, want := range map[string]error{"12": ErrFAT12, "16": nil, "32": nil} {
		image := mkfs(t, "true")
		if bits == "12" {
			if err := os.Truncate(image, 8<<20); err != nil {
				t.Fatal(err)
			}
		}
		fstest.Run(t, "mkfs.fat", "-F", bits, image)
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := Check(f, "FAT"); err != want {
			t.Errorf("FAT%s: %v", bits, err)
		}
	}
}

func TestFlags(t *testing.T) {
	image := mkfs(t, "mkfs.f2fs", "-q", "-f")
	if pending(t, image, "F2FS") {
		t.Error("pending after mkfs.f2fs")
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	first := int(le.Uint32(b[1024+76:])) << 12
	second := first + 512<<12
	newer, older := first, second
	if le.Uint64(b[second:]) > le.Uint64(b[first:]) {
		newer, older = second, first
	}
	b[older+132] &^= 1
	if err := Check(bytes.NewReader(b), "F2FS"); err != nil {
		t.Errorf("the older checkpoint counts: %v", err)
	}
	b[newer+132] &^= 1
	if err := Check(bytes.NewReader(b), "F2FS"); err != ErrJournal {
		t.Errorf("not unmounted: %v", err)
	}

	h := make([]byte, 4096)
	copy(h[1024:], "H+\x00\x04\x80\x00\x21\x00")
	if err := Check(bytes.NewReader(h), "HFS Plus"); err != nil {
		t.Errorf("unmounted HFS+: %v", err)
	}
	h[1024+6] = 0x20
	if err := Check(bytes.NewReader(h), "HFS Plus"); err != ErrJournal {
		t.Errorf("mounted HFS+: %v", err)
	}
}

// What is not understood is strange, and what cannot be read an error.
func TestStrange(t *testing.T) {
	zeros := make([]byte, 4<<20)
	for filesystem := range checks {
		if err := Check(bytes.NewReader(zeros), filesystem); err != ErrStrange {
			t.Errorf("zeros as %s: %v", filesystem, err)
		}
		if err := Check(bytes.NewReader(zeros[:100]), filesystem); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("100 bytes as %s: %v", filesystem, err)
		}
	}
	if err := Check(bytes.NewReader(zeros), "FAT32"); err != nil {
		t.Errorf("FAT32: %v", err)
	}
}

// Superblocks are outside input: whatever they say, no read is out of bounds and none repeats for
// ever.
func FuzzCheck(f *testing.F) {
	sb := make([]byte, 128)
	copy(sb, "XFSB\x00\x00\x10\x00")
	binary.BigEndian.PutUint64(sb[48:], 1)
	binary.BigEndian.PutUint32(sb[84:], 100)
	binary.BigEndian.PutUint32(sb[96:], 2)
	sb[124] = 7
	f.Add(sb, uint32(xfsRecordMagic))
	f.Add([]byte("\x10\x20\xf5\xf2"), uint32(1))
	boot := make([]byte, 72)
	copy(boot, "\xeb\x52\x90NTFS    \x00\x02\x08")
	boot[48], boot[64] = 1, 0xf6
	f.Add(boot, binary.LittleEndian.Uint32([]byte("FILE")))
	f.Fuzz(func(t *testing.T, sb []byte, word uint32) {
		disk := make([]byte, 72<<10)
		for i := 0; i < len(disk); i += 512 {
			binary.BigEndian.PutUint32(disk[i:], word)
		}
		for _, at := range []int{0, 1024, 64 << 10} {
			copy(disk[at:], sb)
		}
		for filesystem := range checks {
			_ = Check(bytes.NewReader(disk), filesystem)
		}
	})
}
