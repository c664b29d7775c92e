// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Around the cache any range reads as through it.
func TestReadAround(t *testing.T) {
	const size = mib + 512
	want := randomBytes(3, size)
	img := imageFile(t, size)
	if err := os.WriteFile(img, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{img, loopDevice(t, img, "--read-only")} {
		s, err := OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range [][2]int{{0, size}, {1, 1}, {4095, 2}, {100_000, 300_000}, {size - 1, 1}, {size - 5000, 5000}} {
			off, n := c[0], c[1]
			p := make([]byte, n)
			copy(p, want[off:off+n/3]) // came before the failure
			got, err := s.readAround(p, int64(off), n/3, unix.EIO)
			if err != nil || got != n || !bytes.Equal(p, want[off:off+n]) {
				t.Errorf("%s: %d bytes at %d: %d, %v", path, n, off, got, err)
			}
		}
		if got, err := s.readAround(make([]byte, 10), size-5, 0, unix.EIO); got != 5 || err != unix.EIO {
			t.Errorf("beyond the end: %d, %v", got, err)
		}
		if s.around.f == nil {
			t.Errorf("%s: not read around the cache", path)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
