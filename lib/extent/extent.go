// SPDX-License-Identifier: GPL-2.0-or-later

// Package extent maps image space to disk space.
//
// A disk image here is a list of extents: runs of bytes at given disk offsets. Their
// concatenation, in order, is image space, which a torrent cuts into pieces; disk space is the
// raw device. Everything else in EZIO that turns one kind of offset into the other asks a Map.
//
// The package is pure: it opens nothing and keeps no state beyond the list it was given.
//
// Invariants of every Map: offsets ascend, extents do not overlap, no extent is empty, and
// every disk and image offset fits an int64.
package extent

import (
	"fmt"
	"iter"
	"math"
	"sort"
)

// Extent is a run of bytes on a disk.
type Extent struct {
	Offset int64 // disk offset of the first byte
	Length int64 // bytes
}

// End is the disk offset just past the extent.
func (e Extent) End() int64 { return e.Offset + e.Length }

// String prints the extent the way error messages quote it.
func (e Extent) String() string { return fmt.Sprintf("%d bytes at %#x", e.Length, e.Offset) }

// A BadExtentError says which record of a list cannot be part of a Map, and why.
type BadExtentError struct {
	Index  int // position in the list, from 0
	Extent Extent
	Reason string
}

func (e *BadExtentError) Error() string {
	return fmt.Sprintf("extent %d (%v): %s", e.Index+1, e.Extent, e.Reason)
}

// A Map is a validated list of extents with its image offsets. It is immutable, so any number of
// goroutines may use one.
type Map struct {
	extents []Extent
	starts  []int64 // image offset of each extent, ascending
	size    int64   // image bytes
}

// Check says whether New would take a list, and if so how many bytes its extents have and where the last
// one ends. The error is a *BadExtentError.
func Check(list []Extent) (size, end int64, err error) {
	for i, e := range list {
		reason := ""
		switch {
		case e.Offset < 0:
			reason = "negative offset"
		case e.Length < 0:
			reason = "negative length"
		case e.Length > math.MaxInt64-e.Offset:
			reason = "end does not fit 63 bits"
		case e.Offset < end:
			reason = fmt.Sprintf("begins before %#x, where an earlier extent ends", end)
		}
		if reason != "" {
			return 0, 0, &BadExtentError{Index: i, Extent: e, Reason: reason}
		}
		end = e.End()
		size += e.Length // cannot overflow: the sum is at most end
	}
	return size, end, nil
}

// New checks a list of extents and indexes it. Empty extents are legal in a list (partclone's
// 2017 fork begins with one, and a torrent may hold empty files) and carry no byte, so the Map
// leaves them out. The error is a *BadExtentError.
func New(list []Extent) (*Map, error) {
	if _, _, err := Check(list); err != nil {
		return nil, err
	}
	m := &Map{extents: make([]Extent, 0, len(list)), starts: make([]int64, 0, len(list))}
	for _, e := range list {
		if e.Length == 0 {
			continue
		}
		m.extents = append(m.extents, e)
		m.starts = append(m.starts, m.size)
		m.size += e.Length
	}
	return m, nil
}

// Size is the length of image space in bytes.
func (m *Map) Size() int64 { return m.size }

// End is the disk offset just past the last extent: the smallest disk that can hold the image.
func (m *Map) End() int64 {
	if len(m.extents) == 0 {
		return 0
	}
	return m.extents[len(m.extents)-1].End()
}

// Len is the number of (non-empty) extents.
func (m *Map) Len() int { return len(m.extents) }

// All yields the extents in order.
func (m *Map) All() iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		for _, e := range m.extents {
			if !yield(e) {
				return
			}
		}
	}
}

// Slices yields, in order, the disk ranges that hold the n bytes of image space from off. It
// yields nothing beyond the end of image space.
func (m *Map) Slices(off, n int64) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		if off < 0 || n <= 0 || off >= m.size {
			return
		}
		n = min(n, m.size-off)
		i := sort.Search(len(m.starts), func(i int) bool { return m.starts[i] > off }) - 1
		for skip := off - m.starts[i]; n > 0; i, skip = i+1, 0 {
			e := m.extents[i]
			e.Offset += skip
			e.Length = min(e.Length-skip, n)
			if !yield(e) {
				return
			}
			n -= e.Length
		}
	}
}

// At finds the image offset of a disk offset, and how many bytes from there on the extent that holds
// it has. ok is false where no extent does.
func (m *Map) At(disk int64) (image, left int64, ok bool) {
	i := sort.Search(len(m.extents), func(i int) bool { return m.extents[i].End() > disk })
	if i == len(m.extents) || m.extents[i].Offset > disk {
		return 0, 0, false
	}
	return m.starts[i] + disk - m.extents[i].Offset, m.extents[i].End() - disk, true
}

// Coalesce merges extents that touch. Image space stays the same, byte for byte; only the number
// of records shrinks. Empty extents are dropped. The list must satisfy New.
func Coalesce(list []Extent) []Extent {
	out := make([]Extent, 0, len(list))
	for _, e := range list {
		switch last := len(out) - 1; {
		case e.Length == 0:
		case last >= 0 && out[last].End() == e.Offset:
			out[last].Length += e.Length
		default:
			out = append(out, e)
		}
	}
	return out
}
