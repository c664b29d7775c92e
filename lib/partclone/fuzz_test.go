// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"io"
	"math"
	"testing"

	"ezio/lib/extent"
)

// checkRuns fails unless list is what the package promises: ascending, maximal runs in size bytes.
func checkRuns(t *testing.T, list []extent.Extent, size int64) {
	t.Helper()
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	if m.Len() != len(list) || len(extent.Coalesce(list)) != len(list) {
		t.Fatal("the runs are not maximal")
	}
	if m.End() > size {
		t.Fatalf("the runs end at %#x, beyond %#x", m.End(), size)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(testdata(f, "minix-0001")[:headerSizeV1])
	f.Add(testdata(f, "minix-0002")[:headerSizeV2])
	f.Add(variants()["no reseed"].header(3))
	f.Add([]byte("block_size: 4096\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSizeV2 && b[33] == '2' {
			seal(b) // or nothing behind the checksum is ever reached
		}
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		if h.BlockSize < 1 || h.BlockSize > maxBlockSize || h.Blocks < 0 || h.Blocks > math.MaxInt64/h.BlockSize ||
			h.DeviceSize < h.Blocks*h.BlockSize || printable([]byte(h.Filesystem)) != h.Filesystem {
			t.Fatalf("accepted %+v", h)
		}
	})
}

func FuzzImage(f *testing.F) {
	f.Add(testdata(f, "minix-0001"))
	f.Add(testdata(f, "minix-0002"))
	f.Add(testdata(f, "minix-xxh64"))
	f.Add(testdata(f, "minix-xxh128-running"))
	for _, s := range variants() {
		if s.blocks < 1000 {
			s.blockSize = 16
			image, _, _ := s.write()
			f.Add(image)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSizeV2 && b[33] == '2' {
			seal(b)
		}
		p, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		checkRuns(t, p.Extents(), p.DeviceSize)
		n, err := io.Copy(io.Discard, p)
		if err == nil && n != p.Size() {
			t.Fatalf("read %d bytes of %d without an error", n, p.Size())
		}
		if n > int64(len(b)) {
			t.Fatalf("read %d bytes from an image of %d", n, len(b))
		}
		checkFile(t, b, p, err == nil)
	})
}

// checkFile compares what a File gives of an image with what the Reader gave. A File need not notice
// a wrong checksum, but whatever the Reader found right it has to have, and be as right.
func checkFile(t *testing.T, image []byte, p *Reader, good bool) {
	t.Helper()
	f, err := NewFile(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		if good {
			t.Fatalf("as a file: %v", err)
		}
		return
	}
	if !good {
		return
	}
	_, want, err := decode(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, p.Size())
	if _, err := (extent.Image{Map: p.m, Disk: f}).ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, want) {
		t.Fatalf("as a file it differs: %v", err)
	}
}

func FuzzDomain(f *testing.F) {
	f.Add(realDomain(f))
	f.Add([]byte("0x30 ?\n0x0 0x10 +\n0x10 0x10 +\n0x20 0x10 ?\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, size, err := ParseDomain(bytes.NewReader(b))
		if err != nil {
			return
		}
		checkRuns(t, list, size)
	})
}
