// SPDX-License-Identifier: GPL-2.0-or-later

package btinfo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ezio/lib/extent"
)

// A file's size says how much room to make, and nothing else.
func TestExpect(t *testing.T) {
	if n := expect(strings.NewReader("offset: 0")); n != 0 {
		t.Errorf("a reader without a size: %d", n)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n := expect(r); n != 0 {
		t.Errorf("a pipe: %d", n)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "torrent.info"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		size int64
		want int
	}{{0, 1}, {82 * 100, 101}, {1 << 40, 1 << 20}} {
		if err := f.Truncate(c.size); err != nil {
			t.Fatal(err)
		}
		if n := expect(f); n != c.want {
			t.Errorf("a file of %d bytes: %d, want %d", c.size, n, c.want)
		}
	}
}

// More records than a file's size makes one expect, since their lines are short; and all lengths, or all
// offsets, first.
func TestRecordsInAnyOrder(t *testing.T) {
	want := []extent.Extent{{Offset: 0, Length: 1}, {Offset: 0x10, Length: 2}, {Offset: 0x20, Length: 0x30}}
	for _, text := range []string{
		"offset: 0\nlength: 1\noffset: 10\nlength: 2\noffset: 20\nlength: 30\n",
		"offset: 0\noffset: 10\noffset: 20\nlength: 1\nlength: 2\nlength: 30\n",
		"length: 1\nlength: 2\nlength: 30\noffset: 0\noffset: 10\noffset: 20\n",
		"length: 1\noffset: 0\noffset: 00000000000000000000000000000010\nlength: 2\nlength: 000000000030\noffset:20\n",
	} {
		path := filepath.Join(t.TempDir(), "torrent.info")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := Read(f)
		if err != nil || !slices.Equal(info.Records, want) {
			t.Errorf("%q: %v, %v", text, info, err)
		}
		f.Close()
	}
	for _, text := range []string{"offset: 0\nlength: 1\noffset: 10\n", "length: 1\n", "length: 0\noffset: 0\nlength: 1\n"} {
		if info, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %v", text, info)
		}
	}
}
