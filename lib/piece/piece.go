// SPDX-License-Identifier: GPL-2.0-or-later

// Package piece is the arithmetic of cutting image space into pieces (BEP 3): lengths, counts,
// spans and SHA-1 sums. It is pure.
package piece

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"

	"ezio/lib/sha1lanes"
)

// Piece lengths in bytes. A receiver holds whole pieces in memory before it writes them, so the
// upper bound is also a bound on what a torrent can make it allocate.
const (
	MinLength = 16 << 10 // one block of the peer wire protocol
	MaxLength = 64 << 20
	Partclone = 16 << 20 // partclone's torrent_helper.h: DEFAULT_PIECE_SIZE

	// What ChooseLength picks from.
	minChosen = 256 << 10
	maxChosen = 16 << 20
	wanted    = 1000
)

// MaxCount is the largest number of pieces accepted: 16 TiB in pieces of 1 MiB.
const MaxCount = 1 << 24

// A Hash is the SHA-1 of one piece.
type Hash [sha1.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Sum is the Hash of b.
func Sum(b []byte) Hash { return sha1.Sum(b) }

// Sums sets each of sums to the Hash of the data in its place. On most CPUs that takes much less time
// than Sum of one after the other: see lib/sha1lanes, whose Width says how many to give it.
func Sums(sums []Hash, data [][]byte) { sha1lanes.Sums(sums, data) }

// CheckLength accepts a power of two from MinLength to MaxLength.
func CheckLength(n int64) error {
	switch {
	case n < MinLength || n > MaxLength:
		return fmt.Errorf("piece length %d is not between %d and %d", n, MinLength, MaxLength)
	case bits.OnesCount64(uint64(n)) != 1:
		return fmt.Errorf("piece length %d is not a power of two", n)
	}
	return nil
}

// ChooseLength is the piece length for an image of size bytes: the largest of 256 KiB to 16 MiB
// that still yields about a thousand pieces. A swarm relays whole pieces, so few pieces make it
// slow; many make the torrent long.
func ChooseLength(size int64) int64 {
	n := int64(minChosen)
	for n < maxChosen && size/(2*n) >= wanted {
		n *= 2
	}
	return n
}

// A Layout cuts an image of Size bytes into pieces of Length bytes, the last one shorter.
type Layout struct {
	Length int64 // bytes, accepted by CheckLength
	Size   int64 // bytes of image space
}

// Count is the number of pieces, ceil(Size/Length).
func (l Layout) Count() int {
	if l.Length <= 0 || l.Size <= 0 {
		return 0
	}
	n := (l.Size-1)/l.Length + 1
	if n > math.MaxInt32 {
		return math.MaxInt32 // more than MaxCount; callers check
	}
	return int(n)
}

// Span is the image offset and length in bytes of piece i, 0 <= i < Count().
func (l Layout) Span(i int) (off, n int64) {
	off = int64(i) * l.Length
	return off, min(l.Length, l.Size-off)
}
