// SPDX-License-Identifier: GPL-2.0-or-later

package sha1lanes

import (
	"encoding/binary"
	"unsafe"
)

const (
	maxLanes  = 16
	blockSize = 64
	// maxBlocks bounds one call of a kernel, which the scheduler and the garbage collector cannot
	// interrupt, to some tens of microseconds.
	maxBlocks = 256
)

type (
	chains   [5][maxLanes]uint32 // word by word, of each lane
	pointers [maxLanes]unsafe.Pointer
)

// initial is the chaining value that a message begins with (FIPS 180-4, 5.3.1).
var initial = [5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}

// A batch is messages on their way through the lanes of a kernel. The first lanes are those in use.
type batch struct {
	set      set
	kernel   *kernel
	messages [][]byte
	put      func(i int, sum [Size]byte)

	next  int // message to be begun
	used  int // lanes in use
	lanes [maxLanes]lane
	h     chains
	p     pointers
}

// A lane is a message under way.
type lane struct {
	message int
	blocks  []byte // whole blocks: what is left of the message's, or of the tail's
	tail    *tail  // nil when blocks is of it already
}

// A tail is the end of a message with its padding (FIPS 180-4, 5.1.1).
type tail struct {
	b [2 * blockSize]byte
	n int
}

func (b *batch) run() {
	for {
		for b.used < b.kernel.lanes && b.next < len(b.messages) {
			b.begin()
		}
		if b.used == 0 {
			return
		}
		if k := b.set.best(b.used); k != nil && k.lanes >= b.used {
			b.kernel = k // few are left: a narrower one is faster now
		}
		b.step()
		for i := b.used - 1; i >= 0; i-- {
			if len(b.lanes[i].blocks) == 0 {
				b.proceed(i)
			}
		}
	}
}

// begin puts the next message in the next lane.
func (b *batch) begin() {
	m := b.messages[b.next]
	whole := len(m) - len(m)%blockSize
	b.lanes[b.used] = lane{message: b.next, blocks: m[:whole], tail: newTail(m[whole:], len(m))}
	for w, v := range initial {
		b.h[w][b.used] = v
	}
	b.next++
	b.used++
	if whole == 0 {
		b.proceed(b.used - 1)
	}
}

func newTail(rest []byte, length int) *tail {
	t := &tail{n: blockSize}
	if len(rest)+1+8 > blockSize {
		t.n = 2 * blockSize
	}
	copy(t.b[:], rest)
	t.b[len(rest)] = 0x80
	binary.BigEndian.PutUint64(t.b[t.n-8:], uint64(length)*8)
	return t
}

// step takes all lanes on to where the first of them has no more blocks.
func (b *batch) step() {
	n := maxBlocks
	for i := range b.used {
		n = min(n, len(b.lanes[i].blocks)/blockSize)
	}
	for i := range b.kernel.lanes {
		from := &b.lanes[i].blocks
		if i >= b.used {
			from = &b.lanes[0].blocks // any bytes do: nobody looks at the result
		}
		b.p[i] = unsafe.Pointer(unsafe.SliceData(*from))
	}
	b.kernel.run(&b.h, &b.p, n)
	for i := range b.used {
		b.lanes[i].blocks = b.lanes[i].blocks[n*blockSize:]
	}
}

// proceed goes over to the tail of a lane's message, or is done with it: the last lane takes its place.
func (b *batch) proceed(i int) {
	l := &b.lanes[i]
	if l.tail != nil {
		l.blocks, l.tail = l.tail.b[:l.tail.n], nil
		return
	}
	var sum [Size]byte
	for w := range b.h {
		binary.BigEndian.PutUint32(sum[4*w:], b.h[w][i])
	}
	b.put(l.message, sum)
	b.used--
	for w := range b.h {
		b.h[w][i] = b.h[w][b.used]
	}
	*l, b.lanes[b.used] = b.lanes[b.used], lane{}
}
