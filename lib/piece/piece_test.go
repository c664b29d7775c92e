// SPDX-License-Identifier: GPL-2.0-or-later

package piece

import (
	"math"
	"testing"
)

func TestCheckLength(t *testing.T) {
	for n, ok := range map[int64]bool{
		MinLength: true, Partclone: true, MaxLength: true, 1 << 20: true,
		0: false, -1: false, MinLength / 2: false, MaxLength * 2: false, 3 << 20: false, math.MinInt64: false,
	} {
		if err := CheckLength(n); (err == nil) != ok {
			t.Errorf("CheckLength(%d) = %v", n, err)
		}
	}
}

func TestChooseLengthGivesAThousandPieces(t *testing.T) {
	for size, want := range map[int64]int64{
		1:         256 << 10,
		250 << 20: 256 << 10,
		1 << 30:   1 << 20,
		10 << 30:  8 << 20,
		1 << 40:   16 << 20,
	} {
		got := ChooseLength(size)
		if got != want {
			t.Errorf("ChooseLength(%d) = %d, want %d", size, got, want)
		}
		if err := CheckLength(got); err != nil {
			t.Error(err)
		}
	}
}

func TestLayout(t *testing.T) {
	l := Layout{Length: 16, Size: 33}
	if l.Count() != 3 {
		t.Fatalf("count %d", l.Count())
	}
	if off, n := l.Span(2); off != 32 || n != 1 {
		t.Fatalf("span of the last piece: %d, %d", off, n)
	}
	if n := (Layout{Length: 16, Size: 32}).Count(); n != 2 {
		t.Fatalf("count of a whole number of pieces: %d", n)
	}
	if n := (Layout{Length: 1, Size: math.MaxInt64}).Count(); n <= MaxCount {
		t.Fatalf("count of a huge image: %d", n)
	}
}

func TestBitfield(t *testing.T) {
	b := NewBitfield(10)
	b.Set(0)
	b.Set(9)
	b.Set(9)
	if b.Count() != 2 || !b.Has(0) || !b.Has(9) || b.Has(5) || b.Has(-1) || b.Has(10) {
		t.Fatalf("set wrong: %x, count %d", b.Bytes(), b.Count())
	}
	if got := b.Bytes(); got[0] != 0x80 || got[1] != 0x40 {
		t.Fatalf("wire form %x", got)
	}
	c, ok := FromBytes(b.Bytes(), 10)
	if !ok || c.Count() != 2 || !c.Has(9) {
		t.Fatal("round trip")
	}
	b.Clear(9)
	if b.Has(9) || b.Count() != 1 || c.Count() != 2 {
		t.Fatal("clear")
	}
	for name, raw := range map[string][]byte{"short": {0xff}, "long": {0, 0, 0}, "spare bit": {0, 0x20}} {
		if _, ok := FromBytes(raw, 10); ok {
			t.Errorf("%s bitfield accepted", name)
		}
	}
}
