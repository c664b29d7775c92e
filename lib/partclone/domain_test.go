// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func realDomain(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/minix.domain")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseDomain(t *testing.T) {
	list, size, err := ParseDomain(bytes.NewReader(realDomain(t)))
	if err != nil || size != 192<<10 || !slices.Equal(list, minixExtents) {
		t.Errorf("%v, size %d, %v", list, size, err)
	}
	// Two used ranges that touch are one run.
	list, size, err = ParseDomain(strings.NewReader("0x30 ?\n0x0 0x10 +\n0x10 0x10 +\n0x20 0x10 ?\n"))
	if err != nil || size != 0x30 || len(list) != 1 || list[0].Length != 0x20 {
		t.Errorf("%v, size %d, %v", list, size, err)
	}
}

func TestBadDomains(t *testing.T) {
	long := strings.Repeat("x", maxDomainLine)
	for _, tt := range []struct{ text, want string }{
		{"", "no status line"},
		{"# only a comment\n", "no status line"},
		{"0x10 0x10 +\n", "line 1: want a position and a status"},
		{"0x20 ?\n0x0 0x10 +\n", "ends at 0x10"},
		{"0x20 ?\n0x0 0x10 +\n0x10 ", "line 3: want a position, a size"},
		{"0x20 ?\n0x0 0x10\n", "line 2: want a position, a size"},
		{"0x20 ?\n0x0 0x20 -\n", "line 2: want a position, a size"},
		{"0x20 ?\n0x0 0x0 +\n", "range of 0 bytes"},
		{"0x20 ?\n0x10 0x10 +\n", "begins at 0x10, want 0x0"},
		{"0x20 ?\n0x0 0x10 +\n0x0 0x10 +\n", "begins at 0x0, want 0x10"},
		{"0x20 ?\n0x0 0x21 +\n", "beyond the filesystem's end"},
		{"0x20 ?\n0x0 0x8000000000000000 +\n", "not a hexadecimal number"},
		{"0x20 ?\n0x0 -0x1 +\n", "not a hexadecimal number"},
		{"32 ?\n", "not a hexadecimal number"},
		{long + long, "too long"},
		{"test block 9 out of boundary(8)\n", "line 1"},
	} {
		_, _, err := ParseDomain(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

// A map that was cut short is never taken for a smaller one.
func TestTruncatedDomain(t *testing.T) {
	b := realDomain(t)
	for n := range len(b) - len("  +\n") {
		if _, _, err := ParseDomain(bytes.NewReader(b[:n])); err == nil {
			t.Errorf("no error after %d of %d bytes", n, len(b))
		}
	}
	_, _, err := ParseDomain(bytes.NewReader(b[:len(b)/2]))
	if err == nil {
		t.Error("no error after half the map")
	}
	if _, _, err = ParseDomain(strings.NewReader("0x20 ?\n")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no ranges: %v", err)
	}
}
