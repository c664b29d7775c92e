// SPDX-License-Identifier: GPL-2.0-or-later

package random

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const mib = 1 << 20

// A layout is a disk as chance would have it.
type layout struct {
	size   int64  // bytes
	sector int64  // bytes of a logical sector
	table  string // gpt, dos, or "" for a disk that is one filesystem
	parts  []part
	script string // for sfdisk
}

// A part is a partition and what is to be in it.
type part struct {
	number       int
	offset, size int64 // bytes
	kind         kind
}

// chance is true once in n times.
func chance(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// between is a number from a range, both ends included.
func between(r *rand.Rand, from, to int64) int64 { return from + r.Int64N(to-from+1) }

// newLayout draws a disk.
func newLayout(r *rand.Rand) layout {
	l := layout{sector: 512, table: "gpt"}
	if chance(r, 4) {
		l.sector = 4096
	}
	switch r.IntN(8) {
	case 0:
		return l.whole(r)
	case 1, 2, 3:
		l.table = "dos"
	}
	at := between(r, 1, 8) * mib
	if chance(r, 3) { // not aligned, as disks were partitioned for decades
		at = 63 * l.sector
	}
	for range between(r, 1, 4) {
		at = l.add(r, len(l.parts)+1, at)
	}
	if l.table == "dos" && len(l.parts) < 4 && !chance(r, 3) {
		at = l.logical(r, at)
	}
	l.size = at + between(r, 0, 24)*mib + 64*l.sector
	head := fmt.Sprintf("label: %s\nunit: sectors\n", l.table)
	if l.table == "gpt" {
		head += fmt.Sprintf("first-lba: %d\n", 2+16<<10/l.sector) // sfdisk would leave a MiB free
	}
	l.script = head + l.script
	return l
}

// whole is a disk without a table.
func (l layout) whole(r *rand.Rand) layout {
	l.table = ""
	k := kinds[r.IntN(len(kinds))]
	l.size = k.size(r) / l.sector * l.sector
	l.parts = []part{{offset: 0, size: l.size, kind: k}}
	return l
}

// gap is space between two partitions: none, what alignment leaves, or a large one.
func (l *layout) gap(r *rand.Rand) int64 {
	switch r.IntN(4) {
	case 0:
		return 0
	case 1:
		return between(r, 5, 9) * mib
	}
	return between(r, 1, 2048) * l.sector
}

// add puts a partition at an offset, which is rounded up to a sector, and returns where it ends.
func (l *layout) add(r *rand.Rand, number int, at int64) int64 {
	at = (at + l.gap(r) + l.sector - 1) / l.sector * l.sector
	k := kinds[r.IntN(len(kinds))]
	size := k.size(r) / l.sector * l.sector
	l.parts = append(l.parts, part{number, at, size, k})
	l.script += fmt.Sprintf("%d : start=%d, size=%d\n", number, at/l.sector, size/l.sector)
	return at + size
}

// logical adds an extended partition with some logical ones.
func (l *layout) logical(r *rand.Rand, at int64) int64 {
	at = (at + l.gap(r) + mib) / mib * mib
	box, inside := at, len(l.parts)+1
	before := l.script
	for n := range between(r, 0, 3) {
		at = l.add(r, 5+int(n), at+2*mib)
	}
	if at == box {
		at += mib
	}
	at += between(r, 0, 3) * l.sector
	entries := strings.TrimPrefix(l.script, before)
	l.script = before + fmt.Sprintf("%d : start=%d, size=%d, type=f\n", inside, box/l.sector, (at-box)/l.sector) + entries
	return at
}

func (l layout) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes, sectors of %d, table %q:", l.size, l.sector, l.table)
	for _, p := range l.parts {
		fmt.Fprintf(&b, " %d:%s at %#x+%#x", p.number, p.kind.name, p.offset, p.size)
	}
	return b.String()
}
