// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/partclone/fstest"
)

// Of swap its first page is taken, however large a page was where it was made.
func TestSwapHeader(t *testing.T) {
	for _, page := range []string{"4096", "16384", "65536"} {
		path := filepath.Join(t.TempDir(), "swap")
		if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		fstest.Run(t, "mkswap", "-q", "-p", page, "-L", "pages", path)
		src, err := disk.OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		got, err := swapHeader(src)
		want := map[string]int64{"4096": 4096, "16384": 16384, "65536": 65536}[page]
		if err != nil || !slices.Equal(got, []extent.Extent{{Length: want}}) {
			t.Errorf("pages of %s: %v, %v", page, got, err)
		}
	}
	path, _ := noise(t, "disk", 1<<20)
	src, err := disk.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if got, err := swapHeader(src); err == nil {
		t.Errorf("noise: %v", got)
	}
}
