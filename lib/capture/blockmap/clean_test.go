// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ezio/lib/extent"
	"ezio/lib/partclone/fstest"
)

// Filesystems that say by a flag whether they were unmounted, as their own mkfs makes them, and with
// that flag set otherwise, as a mount does.
func TestUnmountFlags(t *testing.T) {
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, filesystem string
		at               int
		mounted          byte
		mkfs             []string
	}{
		{"exFAT", "EXFAT", 106, 2, []string{"mkfs.exfat"}},
		{"minix 1", "MINIX", 1024 + 18, 0, []string{"mkfs.minix", "-1", "-n", "14"}},
		{"minix 2", "MINIX", 1024 + 18, 0, []string{"mkfs.minix", "-2", "-n", "30"}},
		{"jfs", "JFS", 32<<10 + 40, 1, []string{"mkfs.jfs", "-q"}},
		{"jfs dirty", "JFS", 32<<10 + 40, 2, []string{"mkfs.jfs", "-q"}},
		{"reiserfs", "REISERFS", 64<<10 + 50, 2, []string{"mkfs.reiserfs", "-q", "-f", "-f"}},
		{"nilfs2", "NILFS", 1024 + 116, 0, []string{"mkfs.nilfs2", "-q"}},
		{"UFS1", "UFS", 8<<10 + 209, 0, []string{"sh", "-c", `makefs -t ffs -o version=1 -s 16m "$1" "$0"`, tree}},
		{"UFS2", "UFS", 8<<10 + 209, 0, []string{"sh", "-c", `makefs -t ffs -o version=2 -s 16m "$1" "$0"`, tree}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := mkfs(t, tt.mkfs...)
			if pending(t, image, tt.filesystem) {
				t.Error("pending after mkfs")
			}
			f, err := os.OpenFile(image, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{tt.mounted}, int64(tt.at)); err != nil {
				t.Fatal(err)
			}
			if !pending(t, image, tt.filesystem) {
				t.Error("not pending while mounted")
			}
		})
	}
	image := mkfs(t, "mkfs.minix", "-3")
	if pending(t, image, "MINIX") {
		t.Error("minix 3 has no flag")
	}
}

// A UFS2 whose superblock is where FreeBSD's newfs puts it.
func TestUFSSuperblock(t *testing.T) {
	disk := make([]byte, 512<<10)
	at := disk[64<<10:]
	binary.LittleEndian.PutUint32(at[1372:], 0x19540119)
	at[209] = 1
	if err := Check(bytes.NewReader(disk), "UFS"); err != nil {
		t.Errorf("clean: %v", err)
	}
	at[209] = 0
	if err := Check(bytes.NewReader(disk), "UFS"); err != ErrJournal {
		t.Errorf("mounted: %v", err)
	}
}

// There is no program here that makes a VMFS; the fields are where they are in volumes made by ESX.
func TestVMFS(t *testing.T) {
	le := binary.LittleEndian
	disk := make([]byte, 24<<20)
	le.PutUint32(disk[1<<20:], 0xc001d00d)
	disk[1<<20+0x290] = 1
	for slot := range 2048 {
		le.PutUint32(disk[20<<20+slot*512:], 0xabcdef01)
	}
	check := func(what string, want error) {
		t.Helper()
		if err := Check(bytes.NewReader(disk), "VMFS"); err != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("closed by all hosts", nil)
	disk[20<<20+2047*512] = 2
	check("open on a host", ErrJournal)
	disk[1<<20+0x290] = 2
	check("on two devices", ErrDevices)
}

// The backup boot sector of an NTFS is where ntfsfix looks for it, also on a larger device.
func TestOutsideNTFS(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		image := mkfs(t, "mkfs.ntfs", "-q", "-F", "-f", "-s", sector)
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size := map[string]int64{"512": 512, "4096": 4096}[sector]
		list, err := Outside(f, "NTFS", fstest.Size)
		if err != nil || !slices.Equal(list, []extent.Extent{{Offset: fstest.Size - size, Length: size}}) {
			t.Errorf("sectors of %s: %v, %v", sector, list, err)
		}
		boot, backup := make([]byte, size), make([]byte, size)
		_, err = f.ReadAt(boot, 0)
		_, err2 := f.ReadAt(backup, list[0].Offset)
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(boot, backup) {
			t.Errorf("sectors of %s: no backup there, %v", sector, err)
		}
		list, err = Outside(f, "NTFS", fstest.Size+1<<20)
		want := []extent.Extent{{Offset: fstest.Size - size, Length: size}, {Offset: fstest.Size + 1<<20 - size, Length: size}}
		if err != nil || !slices.Equal(list, want) {
			t.Errorf("sectors of %s, a larger device: %v, %v", sector, list, err)
		}
		if list, err := Outside(f, "NTFS", fstest.Size-size); list != nil || err != nil {
			t.Errorf("sectors of %s, a device that is too small: %v, %v", sector, list, err)
		}
	}
}

// The second superblock of a nilfs2 is where mkfs puts it.
func TestOutsideNilfs(t *testing.T) {
	image := mkfs(t, "mkfs.nilfs2", "-q")
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := Outside(f, "NILFS", fstest.Size)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	b := make([]byte, 8)
	if _, err := f.ReadAt(b, list[0].Offset); err != nil || string(b[6:]) != "\x34\x34" {
		t.Errorf("%x, %v", b, err)
	}
	for _, size := range []int64{0, 1, 4095} {
		if list, err := Outside(f, "NILFS", size); len(list) != 0 || err != nil {
			t.Errorf("a device of %d bytes: %v, %v", size, list, err)
		}
	}
}

// Whatever a boot sector says, what it makes be captured lies on the device.
func FuzzOutside(f *testing.F) {
	f.Add([]byte("NTFS    "), uint16(512), uint64(1000), int64(1<<20))
	f.Add([]byte("NTFS    "), uint16(0), uint64(1<<63), int64(1<<62))
	f.Fuzz(func(t *testing.T, oem []byte, sector uint16, sectors uint64, size int64) {
		b := make([]byte, 512)
		copy(b[3:11], oem)
		binary.LittleEndian.PutUint16(b[11:], sector)
		binary.LittleEndian.PutUint64(b[40:], sectors)
		size &= 1<<62 - 1
		for _, filesystem := range []string{"NTFS", "NILFS", "EXTFS"} {
			list, _ := Outside(bytes.NewReader(b), filesystem, size)
			end := int64(0)
			for _, e := range list {
				if e.Offset < end || e.Length <= 0 || e.End() > size {
					t.Errorf("%s: %v on %d bytes", filesystem, list, size)
				}
				end = e.Offset
			}
		}
	})
}
