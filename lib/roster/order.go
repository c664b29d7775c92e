// SPDX-License-Identifier: GPL-2.0-or-later

package roster

import (
	"cmp"
	"slices"
	"strings"
)

// Columns are what rows can be sorted by.
var Columns = []string{"name", "state", "done", "rate", "time", "device"}

// Compare orders two rows by a column: trouble before what goes well, names with numbers as people
// count, unknown times last.
func Compare(column string, a, b Receiver) int {
	switch column {
	case "state":
		return slices.Index(States, a.State) - slices.Index(States, b.State)
	case "done":
		return cmp.Compare(a.DoneBytes, b.DoneBytes)
	case "rate":
		return cmp.Compare(a.Rate, b.Rate)
	case "time":
		return cmp.Compare(a.clock(), b.clock())
	case "device":
		return strings.Compare(a.Device, b.Device)
	}
	return cmp.Or(natural(a.Title(), b.Title()), strings.Compare(a.ID, b.ID))
}

// clock is the seconds that the column time shows.
func (r Receiver) clock() float64 {
	if r.ETA != nil {
		return float64(*r.ETA)
	}
	return r.Seconds
}

// natural has lab-9 before lab-10: runs of digits count by their value.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}
