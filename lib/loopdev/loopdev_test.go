// SPDX-License-Identifier: GPL-2.0-or-later

package loopdev

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ezio/lib/disk"
	"ezio/lib/extent"
)

// The device shows the range and nothing else, cannot be written, and is gone when it is closed.
func TestAttach(t *testing.T) {
	const size, sector = 64 << 10, 4096
	path := filepath.Join(t.TempDir(), "disk")
	whole := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	copy(whole[8192:], "begin")
	copy(whole[24575:], "e")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := Attach(f, extent.Extent{Offset: 8192, Length: 16384}, sector)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	src, err := disk.OpenSource(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got := make([]byte, 16384)
	if _, err := src.ReadAt(got, 0); err != nil || !bytes.Equal(got, whole[8192:24576]) {
		t.Errorf("it shows something else: %v", err)
	}
	if src.Size() != 16384 || src.SectorSize() != sector {
		t.Errorf("%d bytes, sectors of %d", src.Size(), src.SectorSize())
	}
	if w, err := os.OpenFile(d.Path, os.O_WRONLY, 0); err == nil {
		if _, err := w.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
			t.Errorf("it can be written: %v", err)
		}
		w.Close()
	}
	src.Close()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	backing := "/sys/block/" + filepath.Base(d.Path) + "/loop/backing_file"
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the kernel does it by and by
		b, err := os.ReadFile(backing)
		if err != nil || !strings.Contains(string(b), path) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still attached")
		}
	}
}

func TestAttachFails(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d, err := Attach(f, extent.Extent{Length: 512}, 512); err == nil {
		d.Close()
		t.Fatal("a character device was attached")
	} else if !strings.Contains(err.Error(), "loop device over 512 bytes at 0x0 of /dev/null: ") {
		t.Error(err)
	}
}
