// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ezio/lib/extent"
)

func crc(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// grow is a disk copied onto a larger one, which held old data.
func grow(disk []byte, by int) []byte {
	return append(bytes.Clone(disk), bytes.Repeat([]byte{0xa5}, by)...)
}

func apply(disk []byte, writes []extent.Patch) {
	for _, w := range writes {
		copy(disk[w.Offset:], w.Data)
	}
}

func verify(t *testing.T, disk []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/usr/sbin/sgdisk", "-v", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk: %v: %s", err, out)
	}
}

// After a move sgdisk finds no fault, and Captured gives back the disk that was captured, byte for
// byte, however little larger the new one is.
func TestMoveAndBack(t *testing.T) {
	disk := gptDisk(t)
	copy(disk, "boot code")
	size := int64(len(disk))
	for _, by := range []int{512, 5 * 512, 33 * 512, 34 * 512, mib, 7*mib + 512} {
		b := grow(disk, by)
		writes, err := Move(bytes.NewReader(b), size, int64(len(b)), 512)
		if err != nil || len(writes) != 4 {
			t.Fatalf("%d larger: %d writes, %v", by, len(writes), err)
		}
		if _, ok := Captured(bytes.NewReader(b), size, int64(len(b)), 512); ok {
			t.Errorf("%d larger: taken for moved before it was", by)
		}
		apply(b, writes)
		verify(t, b)
		patches, ok := Captured(bytes.NewReader(b), size, int64(len(b)), 512)
		if !ok {
			t.Fatalf("%d larger: not recognised", by)
		}
		was := &extent.Patched{Disk: bytes.NewReader(b), Patches: patches}
		got := make([]byte, size)
		if _, err := was.ReadAt(got, 0); err != nil || !bytes.Equal(got, disk) {
			t.Errorf("%d larger: the captured disk does not come back (%v)", by, err)
		}
		for _, at := range []int{512 + 48, len(b) - 512 + 60, len(b) - 33*512 + 5} {
			bad := bytes.Clone(b)
			bad[at] ^= 1
			if _, ok := Captured(bytes.NewReader(bad), size, int64(len(bad)), 512); ok {
				t.Errorf("%d larger: recognised with byte %d wrong", by, at)
			}
		}
	}
	if writes, err := Move(bytes.NewReader(disk), size, size+100, 512); err != nil || writes != nil {
		t.Errorf("the same size: %d writes, %v", len(writes), err)
	}
}

// At every moment of a power cut a reader that believes sums, and falls back to the backup, finds
// the partitions.
func TestMoveSurvivesAPowerCut(t *testing.T) {
	disk := gptDisk(t)
	want, err := read(disk)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []int{512, 20 * 512, mib} {
		b := grow(disk, by)
		writes, err := Move(bytes.NewReader(b), int64(len(disk)), int64(len(b)), 512)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range writes {
			for _, n := range []int{0, 1, 40, 512, 4096, len(w.Data)} { // a write cut short
				torn := bytes.Clone(b)
				apply(torn, writes[:i])
				copy(torn[w.Offset:], w.Data[:min(n, len(w.Data))])
				if got, err := read(torn, 512); err != nil || summary(got) != summary(want) {
					t.Fatalf("%d larger, cut %d bytes into write %d: %v", by, n, i, err)
				}
			}
		}
	}
}

// A primary that was damaged when it was captured is made right from the backup.
func TestMoveFromTheBackup(t *testing.T) {
	disk := gptDisk(t)
	disk[512+60]++
	b := grow(disk, mib)
	writes, err := Move(bytes.NewReader(b), int64(len(disk)), int64(len(b)), 512)
	if err != nil {
		t.Fatal(err)
	}
	apply(b, writes)
	verify(t, b)
}

// What go-diskfs would not carry over is left alone.
func TestMoveRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(b []byte)
		want string
	}{
		"a name beyond its end": {func(b []byte) { b[1024+56+10] = 0; b[1024+56+20] = 'x'; resum(b) }, "entries hold something unknown"},
		"a longer header":       {func(b []byte) { b[512+100] = 1 }, "header holds something unknown"},
		"a backup elsewhere":    {func(b []byte) { put(b, 512+32, uint64(9000)); resumHeader(b) }, "not at the end"},
		"no table":              {func(b []byte) { clear(b) }, "no GPT header"},
		"few entries":           {func(b []byte) { put(b, 512+80, uint32(3)); put(b, 512+88, crc(b[1024:1024+3*128])); resumHeader(b) }, "do not fill"},
	} {
		disk := gptDisk(t)
		c.harm(disk)
		b := grow(disk, mib)
		if _, err := Move(bytes.NewReader(b), int64(len(disk)), int64(len(b)), 512); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Beyond 2 TiB of sectors the protective partition is as long as it can say.
func TestProtectiveSize(t *testing.T) {
	b := make([]byte, 512)
	e := b[446:]
	e[4] = 0xee
	binary.LittleEndian.PutUint32(e[8:], 1)
	binary.LittleEndian.PutUint32(e[12:], 1<<20-1)
	p, err := moveProtective(bytes.NewReader(b), 512<<20, 4<<40, 512)
	if err != nil || p == nil || binary.LittleEndian.Uint32(p.Data[446+12:]) != 0xffffffff {
		t.Errorf("%v, %v", p, err)
	}
	binary.LittleEndian.PutUint32(e[12:], 77) // somebody's idea, and not ours to change
	if p, err := moveProtective(bytes.NewReader(b), 512<<20, 4<<40, 512); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

// Keep has the captured disk's sectors at every moment: before the image is written, when it is, and
// when the table has been moved.
func TestKeep(t *testing.T) {
	disk := gptDisk(t)
	size := int64(len(disk))
	for _, by := range []int{512, 20 * 512, mib} {
		b := bytes.Repeat([]byte{0xa5}, len(disk)+by)
		patches, moved := Keep(bytes.NewReader(b), size, int64(len(b)), 512)
		if moved {
			t.Error("old data taken for a moved table")
		}
		kept := &extent.Patched{Disk: rw(b), Patches: patches}
		if _, err := kept.WriteAt(disk, 0); err != nil {
			t.Fatal(err)
		}
		writes, err := Move(kept, size, int64(len(b)), 512)
		if err != nil {
			t.Fatal(err)
		}
		apply(b, writes)
		got := make([]byte, size)
		if _, err := kept.ReadAt(got, 0); err != nil || !bytes.Equal(got, disk) {
			t.Errorf("%d larger: after the move the captured disk is lost (%v)", by, err)
		}
		patches, moved = Keep(bytes.NewReader(b), size, int64(len(b)), 512)
		if !moved {
			t.Errorf("%d larger: a moved table is not known again", by)
		}
		kept = &extent.Patched{Disk: rw(b), Patches: patches}
		if _, err := kept.ReadAt(got, 0); err != nil || !bytes.Equal(got, disk) {
			t.Errorf("%d larger: the captured disk does not come back (%v)", by, err)
		}
	}
}

type rw []byte

func (b rw) ReadAt(p []byte, off int64) (int, error)  { return copy(p, b[off:]), nil }
func (b rw) WriteAt(p []byte, off int64) (int, error) { return copy(b[off:], p), nil }
