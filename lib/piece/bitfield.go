// SPDX-License-Identifier: GPL-2.0-or-later

package piece

import "math/bits"

// A Bitfield is a set of pieces, laid out as the wire's bitfield message is: the high bit of the
// first byte is piece 0 (BEP 3). It is not safe for concurrent use.
type Bitfield struct {
	bits  []byte
	n     int
	count int
}

// NewBitfield is an empty set of n pieces.
func NewBitfield(n int) *Bitfield { return &Bitfield{bits: make([]byte, (n+7)/8), n: n} }

// Len is the number of pieces the set ranges over, Count the number in it.
func (b *Bitfield) Len() int   { return b.n }
func (b *Bitfield) Count() int { return b.count }

// All says whether every piece is in the set.
func (b *Bitfield) All() bool { return b.count == b.n }

// Has says whether piece i is in the set; a piece out of range is not.
func (b *Bitfield) Has(i int) bool {
	return i >= 0 && i < b.n && b.bits[i/8]&(0x80>>(i%8)) != 0
}

// Set adds piece i, Clear removes it.
func (b *Bitfield) Set(i int) {
	if !b.Has(i) {
		b.bits[i/8] |= 0x80 >> (i % 8)
		b.count++
	}
}

// Clear removes piece i.
func (b *Bitfield) Clear(i int) {
	if b.Has(i) {
		b.bits[i/8] &^= 0x80 >> (i % 8)
		b.count--
	}
}

// Bytes is the set as the wire sends it; the caller must not write to it.
func (b *Bitfield) Bytes() []byte { return b.bits }

// FromBytes reads a bitfield message for n pieces. It is refused (ok false) when its length is
// wrong or a spare bit is set, as BEP 3 asks.
func FromBytes(p []byte, n int) (b *Bitfield, ok bool) {
	if len(p) != (n+7)/8 {
		return nil, false
	}
	if n%8 != 0 && p[len(p)-1]&(0xff>>(n%8)) != 0 {
		return nil, false
	}
	b = &Bitfield{bits: append([]byte(nil), p...), n: n}
	for _, x := range p {
		b.count += bits.OnesCount8(x)
	}
	return b, true
}

// Clone is a copy of the set.
func (b *Bitfield) Clone() *Bitfield {
	return &Bitfield{bits: append([]byte(nil), b.bits...), n: b.n, count: b.count}
}

// SetTo makes byte k of the set, as Bytes has it, what f says. Spare bits must stay clear.
func (b *Bitfield) SetTo(f func(k int) byte) {
	b.count = 0
	for k := range b.bits {
		b.bits[k] = f(k)
		b.count += bits.OnesCount8(b.bits[k])
	}
}
