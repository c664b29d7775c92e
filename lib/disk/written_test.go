// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A write to a file or a device between two marks shows, a read does not.
func TestMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // so that its clock has certainly moved on
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, loopDevice(t, file)} {
		src, err := OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		before := src.Mark()
		if before == "" {
			t.Fatalf("%s: no mark", path)
		}
		if _, err := src.ReadAt(make([]byte, 4096), 0); err != nil {
			t.Fatal(err)
		}
		if before.Changed(src.Mark()) {
			t.Errorf("%s: a read shows", path)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_SYNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 5000); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if !before.Changed(src.Mark()) {
			t.Errorf("%s: a write does not show", path)
		}
	}
	if Mark("").Changed("1") || Mark("1").Changed("") {
		t.Error("nothing is known of a change")
	}
}
