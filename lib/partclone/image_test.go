// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"ezio/lib/extent"
)

// The testdata are one small minix filesystem (192 blocks of 1 KiB, 14 used) as it is, as written
// by partclone 0.2.89 (format 0001), by 0.3.23 (0002), its domain map by the latter, and with sums
// of XXH64 and XXH128 by 0.3.47 (-a 2 and 3; -k 3 but for "one", -K where it says running).
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var minixExtents = []extent.Extent{
	{Offset: 0, Length: 0x1c00}, {Offset: 0x5000, Length: 0x800}, {Offset: 0x6400, Length: 0xc00},
	{Offset: 0x19000, Length: 0x400}, {Offset: 0x2fc00, Length: 0x400},
}

// decode reads a whole image; used is what Read gave before err.
func decode(r io.Reader) (p *Reader, used []byte, err error) {
	if p, err = NewReader(r); err != nil {
		return nil, nil, err
	}
	used, err = io.ReadAll(p)
	return p, used, err
}

// cut is the bytes of a disk that extents hold.
func cut(disk []byte, list []extent.Extent) []byte {
	var b []byte
	for _, e := range list {
		b = append(b, disk[e.Offset:e.End()]...)
	}
	return b
}

func TestRealImages(t *testing.T) {
	disk := testdata(t, "minix")
	for _, tt := range []struct {
		name   string
		format int
		tool   string
	}{
		{"minix-0001", 1, ""}, {"minix-0002", 2, "0.3.23"}, {"minix-xxh64", 2, "0.3.47"}, {"minix-xxh64-one", 2, "0.3.47"},
		{"minix-xxh64-running", 2, "0.3.47"}, {"minix-xxh128", 2, "0.3.47"}, {"minix-xxh128-running", 2, "0.3.47"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, used, err := decode(iotest.OneByteReader(bytes.NewReader(testdata(t, tt.name))))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.Extents(), minixExtents) {
				t.Errorf("extents %v, want %v", p.Extents(), minixExtents)
			}
			if !bytes.Equal(used, cut(disk, minixExtents)) || p.Size() != int64(len(used)) {
				t.Error("the used blocks differ from the filesystem's")
			}
			if p.Format != tt.format || p.Tool != tt.tool || p.Filesystem != "MINIX" ||
				p.BlockSize != 1024 || p.Blocks != 192 || p.DeviceSize != 192<<10 {
				t.Errorf("header %+v", p.Header)
			}
		})
	}
}

// Partclone before 0.1.0 on 64-bit machines: 4 bytes more after each checksum.
func TestPaddedChecksums(t *testing.T) {
	plain := testdata(t, "minix-0001")
	start := headerSizeV1 + 192 + len(bitmapMagic)
	for _, blocks := range []int{1, 14} {
		image := bytes.Clone(plain[:start])
		if blocks == 1 {
			clear(image[headerSizeV1+1 : headerSizeV1+192])
		}
		var want []byte
		for i := range blocks {
			b := plain[start+i*1028:][:1028]
			image = append(append(image, b...), 0, 0, 0, 0)
			want = append(want, b[:1024]...)
		}
		_, used, err := decode(bytes.NewReader(image))
		if err != nil || !bytes.Equal(used, want) {
			t.Errorf("%d blocks: %v, the data are right: %v", blocks, err, bytes.Equal(used, want))
		}
		if _, _, err := decode(bytes.NewReader(image[:len(image)-1])); err == nil {
			t.Errorf("%d blocks: no error when the last byte is missing", blocks)
		}
	}
}

// imageSpec is an image written by the test, by the rules of IMAGE_FORMATS.md.
type imageSpec struct {
	blockSize, blocks int
	used              func(int) bool
	mode, per         int
	reseed            bool
	bitmap            uint8
	magicSeal         bool // bitmap in byte mode sealed by BiTmAgIc
}

func (s imageSpec) header(used int) []byte {
	h := make([]byte, headerSizeV2)
	copy(h, magic)
	copy(h[16:], "0.3.99")
	copy(h[30:], "0002")
	copy(h[36:], "EXTFS")
	le := binary.LittleEndian
	le.PutUint16(h[34:], 0xc0de)
	le.PutUint64(h[52:], uint64(s.blocks*s.blockSize))
	le.PutUint64(h[60:], uint64(s.blocks))
	le.PutUint64(h[68:], uint64(used))
	le.PutUint64(h[76:], uint64(used))
	le.PutUint32(h[84:], uint32(s.blockSize))
	le.PutUint32(h[88:], 18)
	le.PutUint16(h[92:], 2)
	le.PutUint16(h[94:], 64)
	le.PutUint16(h[96:], uint16(s.mode))
	if s.mode == checksumCRC32 {
		le.PutUint16(h[98:], 4)
		le.PutUint32(h[100:], uint32(s.per))
	}
	if s.reseed {
		h[104] = 1
	}
	h[105] = s.bitmap
	return seal(h)
}

// seal corrects a header's checksum.
func seal(h []byte) []byte {
	binary.LittleEndian.PutUint32(h[headerSizeV2-4:], ^crc32.ChecksumIEEE(h[:headerSizeV2-4]))
	return h
}

// content is byte i of block n.
func content(n, i int) byte { return byte(n*31 + i*7 + i>>8) }

func (s imageSpec) write() (image, data []byte, list []extent.Extent) {
	count := 0
	packed := make([]byte, (s.blocks+7)/8)
	var each []byte
	for n := range s.blocks {
		each = append(each, 0)
		if s.used(n) {
			count++
			packed[n/8] |= 1 << (n % 8)
			each[n] = 1
			list = append(list, extent.Extent{Offset: int64(n * s.blockSize), Length: int64(s.blockSize)})
		}
	}
	image = s.header(count)
	switch s.bitmap {
	case bitmapBit:
		image = append(image, packed...)
	case bitmapByte:
		image = append(image, each...)
	}
	if s.magicSeal {
		image = append(image, bitmapMagic...)
	} else if s.bitmap != bitmapNone {
		image = binary.LittleEndian.AppendUint32(image, ^crc32.ChecksumIEEE(packed))
	}
	sum, inGroup := crc32.NewIEEE(), 0
	flush := func() {
		if s.mode == checksumCRC32 {
			image = binary.LittleEndian.AppendUint32(image, ^sum.Sum32())
		}
		inGroup = 0
		if s.reseed {
			sum.Reset()
		}
	}
	for n := range s.blocks {
		if !s.used(n) {
			continue
		}
		b := make([]byte, s.blockSize)
		for i := range b {
			b[i] = content(n, i)
		}
		image, data = append(image, b...), append(data, b...)
		sum.Write(b)
		if inGroup++; inGroup == s.per {
			flush()
		}
	}
	if inGroup > 0 {
		flush()
	}
	return image, data, extent.Coalesce(list)
}

func all(int) bool  { return true }
func none(int) bool { return false }

// sparse uses runs of several lengths, the last block among them.
func sparse(n int) bool { return n%7 < 3 || n%31 == 0 || n == 199 }

func variants() map[string]imageSpec {
	base := imageSpec{blockSize: 512, blocks: 200, used: sparse, mode: checksumCRC32, per: 10, reseed: true, bitmap: bitmapBit}
	with := func(f func(*imageSpec)) imageSpec { s := base; f(&s); return s }
	return map[string]imageSpec{
		"default":           base,
		"no reseed":         with(func(s *imageSpec) { s.reseed = false }),
		"checksum a block":  with(func(s *imageSpec) { s.per = 1 }),
		"one checksum":      with(func(s *imageSpec) { s.per = 1 << 30 }),
		"exact last group":  with(func(s *imageSpec) { s.used, s.per = all, 100 }),
		"no checksums":      with(func(s *imageSpec) { s.mode = checksumNone }),
		"no bitmap":         with(func(s *imageSpec) { s.used, s.bitmap = all, bitmapNone }),
		"byte bitmap":       with(func(s *imageSpec) { s.bitmap = bitmapByte }),
		"byte bitmap magic": with(func(s *imageSpec) { s.bitmap, s.magicSeal = bitmapByte, true }),
		"nothing used":      with(func(s *imageSpec) { s.used = none }),
		"no blocks":         with(func(s *imageSpec) { s.blocks = 0 }),
		"odd block size":    with(func(s *imageSpec) { s.blockSize, s.blocks = 333, 201 }),
		"many chunks":       with(func(s *imageSpec) { s.blockSize, s.blocks = 1, 1_000_001 }),
		"many byte chunks":  with(func(s *imageSpec) { s.blockSize, s.blocks, s.bitmap = 1, 300_001, bitmapByte }),
	}
}

func TestVariants(t *testing.T) {
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			image, data, list := s.write()
			p, used, err := decode(iotest.HalfReader(bytes.NewReader(image)))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(p.Extents(), list) {
				t.Errorf("%d extents, want %d", len(p.Extents()), len(list))
			}
			if !bytes.Equal(used, data) {
				t.Error("the used blocks differ")
			}
		})
	}
}

// Every image cut short, anywhere, and every one with a byte more, is refused.
func TestTruncated(t *testing.T) {
	images := map[string][]byte{
		"minix-0001": testdata(t, "minix-0001"), "minix-0002": testdata(t, "minix-0002"),
		"minix-xxh64": testdata(t, "minix-xxh64"), "minix-xxh128": testdata(t, "minix-xxh128"),
	}
	for name, s := range variants() {
		if s.blocks < 1000 {
			images[name], _, _ = s.write()
		}
	}
	for name, image := range images {
		for n := 0; n < len(image); n += 1 + n/50 {
			if _, _, err := decode(bytes.NewReader(image[:n])); err == nil {
				t.Fatalf("%s: no error after %d of %d bytes", name, n, len(image))
			}
		}
		_, _, err := decode(bytes.NewReader(image[:len(image)-1]))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: one byte short: %v", name, err)
		}
		if _, _, err := decode(bytes.NewReader(append(bytes.Clone(image), 0))); err == nil {
			t.Errorf("%s: no error with a byte after the end", name)
		}
	}
}

// Format 0002 with checksums protects every byte. One flipped bit is found wherever it is.
func TestBitFlips(t *testing.T) {
	for _, name := range []string{"default", "no reseed", "checksum a block", "one checksum", "exact last group"} {
		s := variants()[name]
		s.blockSize, s.blocks = 40, 60
		image, _, _ := s.write()
		for i := range image {
			bad := bytes.Clone(image)
			bad[i] ^= 1 << (i % 8)
			if _, _, err := decode(bytes.NewReader(bad)); err == nil {
				t.Fatalf("%s: no error with a bit flipped in byte %d", name, i)
			}
		}
	}
	for _, name := range []string{"minix-xxh64", "minix-xxh64-running", "minix-xxh128", "minix-xxh128-running"} {
		image := testdata(t, name)
		for i := range image {
			image[i] ^= 1 << (i % 8)
			if _, _, err := decode(bytes.NewReader(image)); err == nil {
				t.Fatalf("%s: no error with a bit flipped in byte %d", name, i)
			}
			image[i] ^= 1 << (i % 8)
		}
	}
}

func TestErrorsNameTheBlock(t *testing.T) {
	image, _, list := variants()["default"].write()
	start := len(image) - func() int {
		p, _ := NewReader(bytes.NewReader(image))
		return int(p.Size()) + 4*((int(p.Size())/512+9)/10)
	}()
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	blockAt := func(k int) int64 { // number on disk of used block k
		for s := range m.Slices(int64(k)*512, 1) {
			return s.Offset / 512
		}
		return -1
	}
	at := func(k int) int { return start + k*512 + k/10*4 }
	var be *BlockError

	_, _, err = decode(bytes.NewReader(image[:at(25)+100]))
	if !errors.As(err, &be) || !errors.Is(err, io.ErrUnexpectedEOF) ||
		be.First != blockAt(25) || be.Last != be.First || be.Offset != be.First*512 {
		t.Errorf("truncated in block %d: %v", blockAt(25), err)
	}
	bad := bytes.Clone(image)
	bad[at(25)]++
	_, used, err := decode(bytes.NewReader(bad))
	if !errors.As(err, &be) || !errors.Is(err, ErrChecksum) || be.First != blockAt(20) || be.Last != blockAt(29) {
		t.Errorf("corrupt in block %d: %v", blockAt(25), err)
	}
	if len(used) != 30*512 {
		t.Errorf("%d bytes before the error", len(used))
	}
	broken := errors.New("broken pipe")
	_, _, err = decode(io.MultiReader(bytes.NewReader(image[:at(31)]), iotest.ErrReader(broken)))
	if !errors.As(err, &be) || !errors.Is(err, broken) || be.First != blockAt(31) {
		t.Errorf("broken in block %d: %v", blockAt(31), err)
	}
}

func TestBadHeaders(t *testing.T) {
	le := binary.LittleEndian
	good := variants()["default"].header(100)
	edit := func(f func(h []byte)) []byte { h := bytes.Clone(good); f(h); return seal(h) }
	v1 := func(f func(h []byte)) []byte { h := testdata(t, "minix-0001"); f(h); return h }
	for _, tt := range []struct {
		want  string
		image []byte
	}{
		{"the input is empty", nil},
		{"header truncated after 50 bytes", good[:50]},
		{"header truncated after 4000 bytes", v1(func([]byte) {})[:4000]},
		{"not a partclone image", []byte("hello")},
		{"compressed by gzip", []byte("\x1f\x8b\x08\x00")},
		{"torrent.info already", []byte("block_size: 4096\n")},
		{"checksum mismatch", append(good[:105:105], 9, 9, 9, 9, 9)},
		{`format "0003"`, edit(func(h []byte) { h[33] = '3' })},
		{"big-endian", edit(func(h []byte) { h[34], h[35] = 0xc0, 0xde })},
		{"endianness marker", edit(func(h []byte) { h[34] = 0 })},
		{"block size 0", edit(func(h []byte) { le.PutUint32(h[84:], 0) })},
		{"block size 4294967295", edit(func(h []byte) { le.PutUint32(h[84:], 1<<32-1) })},
		{"do not fit 63 bits", edit(func(h []byte) { le.PutUint64(h[60:], 1<<63-1) })},
		{"device size", edit(func(h []byte) { le.PutUint64(h[52:], 1<<63) })},
		{"201 blocks used of 200", edit(func(h []byte) { le.PutUint64(h[76:], 201) })},
		{"no bitmap, yet only 100", edit(func(h []byte) { h[105] = bitmapNone })},
		{"bitmap mode 0x2", edit(func(h []byte) { h[105] = 2 })},
		{"XXH64 checksums of 4 bytes", edit(func(h []byte) { h[96] = checksumXXH64 })},
		{"XXH128 checksums of 4 bytes", edit(func(h []byte) { h[96] = checksumXXH128 })},
		{"unknown checksum mode", edit(func(h []byte) { h[96] = 0x21 })},
		{"CRC32 checksums of 8 bytes", edit(func(h []byte) { h[98] = 8 })},
		{"every 0 blocks", edit(func(h []byte) { le.PutUint32(h[100:], 0) })},
		{"is not text", edit(func(h []byte) { h[38] = '\n' })},
		{"is not text", v1(func(h []byte) { h[16] = '\n' })},
		{"block size 0", v1(func(h []byte) { le.PutUint32(h[36:], 0) })},
		{"193 blocks used", v1(func(h []byte) { le.PutUint64(h[56:], 193) })},
		{"after block 0 of 72057594037927936", edit(func(h []byte) { le.PutUint32(h[84:], 1); le.PutUint64(h[60:], 1<<56) })},
	} {
		_, _, err := decode(bytes.NewReader(tt.image))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

// A hostile image claims blocks without end and sends a bitmap without end: memory stays bounded by
// what the program is willing to keep.
func TestHostileBitmap(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pattern byte
		bytes   int64
		want    string
	}{
		{"zeros", 0, 16 << 20, "after block 134217728"},
		{"ones", 0xff, 16 << 20, "after block 134217728"},
		{"alternating", 0x55, 16 << 20, "separate runs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := imageSpec{blockSize: 1, blocks: 1 << 60, mode: checksumNone, bitmap: bitmapBit}.header(1)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := NewReader(io.MultiReader(bytes.NewReader(h), io.LimitReader(repeat(tt.pattern), tt.bytes)))
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			limit := uint64(4 << 20)
			if tt.pattern == 0x55 {
				limit = maxRuns * 16 * 8 // the list, and what growing it leaves behind
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("allocated %d bytes, want at most %d", got, limit)
			}
		})
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}
