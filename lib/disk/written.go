// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Mark is what the kernel has counted of the writes to a Source up to a moment. Of the same Source,
// two that differ say that something wrote to it between them; two that are equal, that nobody did by
// way of this device or file. The zero value says nothing.
type Mark string

// Mark is taken now. It is zero where the kernel does not count, and of a device that holds swap in
// use, whose pages nobody wants.
func (s *Source) Mark() Mark {
	var st unix.Stat_t
	if err := s.control(func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return ""
	}
	if !isBlock(&st) {
		return Mark(fmt.Sprint(st.Size, st.Mtim.Sec, st.Mtim.Nsec))
	}
	// What a program has left in the cache would otherwise be counted when the kernel writes it.
	_ = s.control(unix.Fsync)
	return live.writes(st.Rdev)
}

// Changed says whether two marks tell of a write.
func (m Mark) Changed(later Mark) bool { return m != "" && later != "" && m != later }

// Fields of a device's stat in sysfs (linux Documentation/block/stat.rst) that count the sectors written
// and discarded. The number of requests says nothing: a flush is one too.
var writeFields = []int{6, 13}

// writes reads a device's counters.
func (k kernel) writes(rdev uint64) Mark {
	b, err := k.block(rdev)
	if err != nil || k.swaps(b) {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(b.dir, "stat"))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 7 {
		return ""
	}
	var m []string
	for _, i := range writeFields {
		if i < len(fields) {
			m = append(m, fields[i])
		}
	}
	return Mark(strings.Join(m, " "))
}

// swaps says whether a device or one of its partitions is swapped to, or may be.
func (k kernel) swaps(b block) bool {
	swaps, err := k.readSwaps()
	parts, err2 := b.partitions()
	if err != nil || err2 != nil {
		return true
	}
	return slices.ContainsFunc(append(parts, b), func(p block) bool { return slices.Contains(swaps, p.object()) })
}
