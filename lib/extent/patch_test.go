// SPDX-License-Identifier: GPL-2.0-or-later

package extent

import (
	"testing"
)

func TestPatchedReadsPatchesAndKeepsWhatIsWritten(t *testing.T) {
	d := disk("0123456789")
	p := &Patched{Disk: d, Patches: []Patch{{2, []byte("ab")}, {3, []byte("CD")}, {9, []byte("Z")}}}
	check := func(off, n int64, want string) {
		t.Helper()
		b := make([]byte, n)
		if _, err := p.ReadAt(b, off); err != nil || string(b) != want {
			t.Errorf("%d bytes at %d: %q, %v, want %q", n, off, b, err, want)
		}
	}
	check(0, 10, "01aCD5678Z")
	check(3, 1, "C")
	check(5, 4, "5678")
	for _, c := range []struct {
		e    Extent
		want bool
	}{{Extent{0, 2}, false}, {Extent{1, 2}, true}, {Extent{4, 1}, true}, {Extent{5, 4}, false}, {Extent{0, 10}, true}} {
		if p.Covers(c.e) != c.want {
			t.Errorf("Covers(%v) is not %v", c.e, c.want)
		}
	}
	if n, err := p.WriteAt([]byte("wxyz"), 1); n != 4 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	check(0, 10, "0wxyz5678Z")
	if string(d) != "0wxyz56789" {
		t.Errorf("the disk has %q", d)
	}
}
