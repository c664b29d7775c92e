// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"ezio/lib/extent"
)

// images are one of every kind, real and made up.
func images(t *testing.T) map[string][]byte {
	all := map[string][]byte{}
	for _, name := range []string{"minix-0001", "minix-0002", "minix-xxh64", "minix-xxh64-one", "minix-xxh128", "minix-xxh128-running"} {
		all[name] = testdata(t, name)
	}
	for name, s := range variants() {
		all[name], _, _ = s.write()
	}
	// As by partclone before 0.1.0: 4 bytes more after each checksum.
	plain := all["minix-0001"]
	start := headerSizeV1 + 192 + len(bitmapMagic)
	padded := bytes.Clone(plain[:start])
	for i := range 14 {
		padded = append(append(padded, plain[start+i*1028:][:1028]...), 0, 0, 0, 0)
	}
	all["padded"] = padded
	return all
}

// At any disk offset a File gives what the Reader gave for it, or says that no block is there.
func TestFile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, image := range images(t) {
		t.Run(name, func(t *testing.T) {
			p, used, err := decode(bytes.NewReader(image))
			if err != nil {
				t.Fatal(err)
			}
			f, err := NewFile(bytes.NewReader(image), int64(len(image)))
			if err != nil {
				t.Fatal(err)
			}
			if f.Size() != p.DeviceSize {
				t.Errorf("%d bytes, want %d", f.Size(), p.DeviceSize)
			}
			disk := make([]byte, p.DeviceSize)
			taken := make([]bool, p.DeviceSize)
			for _, e := range p.Extents() {
				used = used[copy(disk[e.Offset:e.End()], used):]
				for i := e.Offset; i < e.End(); i++ {
					taken[i] = true
				}
			}
			for range 500 {
				off := random.Int64N(p.DeviceSize + 1)
				b := make([]byte, random.IntN(20000))
				n, err := f.ReadAt(b, off)
				for i, got := range b[:n] {
					if !taken[off+int64(i)] || got != disk[off+int64(i)] {
						t.Fatalf("byte %#x is %#x, want %#x", off+int64(i), got, disk[off+int64(i)])
					}
				}
				switch end := off + int64(n); {
				case n == len(b):
				case end == p.DeviceSize && err == io.EOF:
				case end < p.DeviceSize && n < len(b) && !taken[end] && errors.Is(err, ErrUnused):
				default:
					t.Fatalf("%d bytes at %#x: %d, %v", len(b), off, n, err)
				}
			}
			for _, n := range []int{0, 20, headerSizeV2, len(image) / 2, len(image) - 1} {
				if _, err := NewFile(bytes.NewReader(image[:n]), int64(n)); err == nil {
					t.Errorf("no error for %d of %d bytes", n, len(image))
				}
			}
			if _, err := NewFile(bytes.NewReader(append(bytes.Clone(image), 0)), int64(len(image))+1); err == nil {
				t.Error("no error with a byte after the end")
			}
		})
	}
}

// A piece larger than the buffer through which checksums are left out.
func TestFileLargeRead(t *testing.T) {
	s := imageSpec{blockSize: 4096, blocks: 1200, used: all, mode: checksumCRC32, per: 3, reseed: true, bitmap: bitmapBit}
	image, want, list := s.write()
	f, err := NewFile(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want)-1)
	if _, err := (extent.Image{Map: m, Disk: f}).ReadAt(got, 1); err != nil || !bytes.Equal(got, want[1:]) {
		t.Errorf("differs, %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("no error at a negative offset")
	}
}
