// SPDX-License-Identifier: GPL-2.0-or-later

package extent

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNewRefusesWhatCannotBeADisk(t *testing.T) {
	for _, c := range []struct {
		name string
		list []Extent
		want string // "" accepts
		at   int
	}{
		{"nothing", nil, "", 0},
		{"one", []Extent{{0, 1}}, "", 0},
		{"touching", []Extent{{0, 10}, {10, 5}}, "", 0},
		{"empty first, as the 2017 fork has it", []Extent{{0, 0}, {0, 10}}, "", 0},
		{"the last byte of 63 bits", []Extent{{math.MaxInt64 - 1, 1}}, "", 0},
		{"negative offset", []Extent{{-1, 5}}, "negative offset", 0},
		{"negative length", []Extent{{0, 1}, {5, -5}}, "negative length", 1},
		{"overflow", []Extent{{math.MaxInt64, 1}}, "63 bits", 0},
		{"overlap", []Extent{{0, 10}, {9, 5}}, "begins before 0xa", 1},
		{"descending", []Extent{{100, 10}, {0, 10}}, "begins before 0x6e", 1},
		{"empty one inside an earlier one", []Extent{{0, 10}, {5, 0}}, "begins before 0xa", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := New(c.list)
			if c.want == "" {
				if err != nil || m == nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var bad *BadExtentError
			if !errors.As(err, &bad) || bad.Index != c.at || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q at %d", err, c.want, c.at)
			}
		})
	}
}

func TestSlicesCoverImageSpaceInOrder(t *testing.T) {
	m, err := New([]Extent{{0, 0}, {100, 10}, {110, 5}, {1000, 20}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Size() != 35 || m.End() != 1020 || m.Len() != 3 {
		t.Fatalf("size %d, end %d, len %d", m.Size(), m.End(), m.Len())
	}
	for _, c := range []struct {
		off, n int64
		want   []Extent
	}{
		{0, 35, []Extent{{100, 10}, {110, 5}, {1000, 20}}},
		{0, 1, []Extent{{100, 1}}},
		{9, 2, []Extent{{109, 1}, {110, 1}}},
		{10, 5, []Extent{{110, 5}}},
		{14, 2, []Extent{{114, 1}, {1000, 1}}},
		{34, 100, []Extent{{1019, 1}}},
		{35, 1, nil},
		{-1, 5, nil},
		{3, 0, nil},
	} {
		if got := slices.Collect(m.Slices(c.off, c.n)); !slices.Equal(got, c.want) {
			t.Errorf("Slices(%d, %d) = %v, want %v", c.off, c.n, got, c.want)
		}
	}
}

func TestCoalesceKeepsImageSpace(t *testing.T) {
	list := []Extent{{0, 0}, {0, 4}, {4, 4}, {8, 0}, {16, 2}, {18, 1}}
	got := Coalesce(list)
	if want := []Extent{{0, 8}, {16, 3}}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// disk is a disk in memory that ends where it ends.
type disk []byte

func (d disk) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(d)) {
		return 0, io.EOF
	}
	n := copy(p, d[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d disk) WriteAt(p []byte, off int64) (int, error) {
	n := copy(d[min(off, int64(len(d))):], p)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// Writing image space in random portions and reading it back must give the same bytes, and must
// leave every byte between the extents alone.
func TestImageRoundTripLeavesGapsAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var list []Extent
	end := int64(0)
	for range 50 {
		e := Extent{Offset: end + rng.Int64N(3)*7, Length: rng.Int64N(40)}
		list, end = append(list, e), e.End()
	}
	m, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	d := disk(bytes.Repeat([]byte{0xEE}, int(end)+10))
	im := Image{Map: m, Disk: d, Path: "mem"}
	want := make([]byte, m.Size())
	for i := range want {
		want[i] = byte(rng.IntN(200)) // never 0xEE
	}
	for off := int64(0); off < m.Size(); {
		n := min(1+rng.Int64N(60), m.Size()-off)
		if _, err := im.WriteAt(want[off:off+n], off); err != nil {
			t.Fatal(err)
		}
		off += n
	}
	got := make([]byte, m.Size())
	if n, err := im.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v; equal: %v", n, err, bytes.Equal(got, want))
	}
	inside := make([]bool, len(d))
	for _, e := range list {
		for i := e.Offset; i < e.End(); i++ {
			inside[i] = true
		}
	}
	for i, b := range d {
		if !inside[i] && b != 0xEE {
			t.Fatalf("byte %d between the extents was written", i)
		}
	}
}

func TestImageErrorsNameTheDiskOffset(t *testing.T) {
	m, _ := New([]Extent{{0, 4}, {100, 8}})
	im := Image{Map: m, Disk: disk(make([]byte, 104)), Path: "/dev/x"}
	_, err := im.ReadAt(make([]byte, 12), 0)
	var io1 *IOError
	if !errors.As(err, &io1) || io1.Offset != 104 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("read: %v", err)
	}
	_, err = im.WriteAt(make([]byte, 12), 0)
	if got, want := err.Error(), "write /dev/x at 0x68: short write"; got != want {
		t.Fatalf("write: %q, want %q", got, want)
	}
	if _, err := im.WriteAt(make([]byte, 13), 0); err == nil {
		t.Fatal("a write beyond image space was accepted")
	}
	if n, err := im.ReadAt(make([]byte, 1), 12); n != 0 || err != io.EOF {
		t.Fatalf("read at the end: %d, %v", n, err)
	}
}

func TestParseHex(t *testing.T) {
	for s, want := range map[string]int64{
		"0":                                0,
		"fF":                               255,
		Name(1 << 40):                      1 << 40,
		"7fffffffffffffff":                 math.MaxInt64,
		"00000000000000007fffffffffffffff": math.MaxInt64,
		strings.Repeat("0", 100) + "1":     1,
		"":                                 -1,
		"8000000000000000":                 -1,
		"-1":                               -1,
		"0x10":                             -1,
		"+1":                               -1,
		" 1":                               -1,
		"../0":                             -1,
		strings.Repeat("f", 32):            -1,
	} {
		got, err := ParseHex(s)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("ParseHex(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
}
