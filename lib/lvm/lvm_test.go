// SPDX-License-Identifier: GPL-2.0-or-later

package lvm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ezio/lib/partclone/fstest"
)

func TestMain(m *testing.M) { fstest.Main(m) }

// tool runs a program of LVM's that sees one device only, and does not ask the kernel's device mapper.
func tool(t *testing.T, dev, name string, args ...string) string {
	t.Helper()
	config := fmt.Sprintf(`devices { use_devicesfile=0 filter=["a|^%s$|","r|.*|"] } backup { backup=0 archive=0 }`, dev)
	return fstest.Run(t, name, append([]string{"-q", "--driverloaded", "n", "--config", config}, args...)...)
}

// group makes a volume group with two volumes, the first in two pieces, and returns its device and backup.
func group(t *testing.T, size int64) (dev string, backup []byte) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "pv.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	dev = fstest.Loop(t, image)
	tool(t, dev, "pvcreate", "-y", dev)
	tool(t, dev, "vgcreate", "vg-lab", dev)
	tool(t, dev, "lvcreate", "-an", "-Zn", "-Wn", "-L", "40M", "-n", "root", "vg-lab")
	tool(t, dev, "lvcreate", "-an", "-Zn", "-Wn", "-L", "8M", "-n", "swap_1", "vg-lab")
	tool(t, dev, "lvextend", "-L", "+8M", "vg-lab/root")
	file := filepath.Join(t.TempDir(), "vg.conf")
	tool(t, dev, "vgcfgbackup", "-f", file, "vg-lab")
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return dev, backup
}

// From its backup a group is found as LVM shows it, and a device on which our metadata are written is the
// same group for LVM, with the same label to the byte.
func TestGroup(t *testing.T) {
	const size = 100<<20 + 512*7
	dev, backup := group(t, size)
	g, err := Parse(backup, "vg-lab")
	if err != nil {
		t.Fatal(err)
	}
	const ext = 4 << 20
	root := Logical{Name: "root", Kind: "linear", Visible: true, Size: 12 * ext, Segments: []Segment{
		{0, 10 * ext, "pv0", 1 << 20}, {10 * ext, 2 * ext, "pv0", 1<<20 + 12*ext}}}
	swap := Logical{Name: "swap_1", Kind: "linear", Visible: true, Size: 2 * ext, Segments: []Segment{{0, 2 * ext, "pv0", 1<<20 + 10*ext}}}
	if fmt.Sprint(g.Logical) != fmt.Sprint([]Logical{root, swap}) || g.Physical[0].Size != size {
		t.Errorf("%+v", g)
	}
	image := filepath.Join(t.TempDir(), "new.img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	patches, err := g.Metadata("pv0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patches {
		if _, err := f.WriteAt(p.Data, p.Offset); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	was, is := make([]byte, 2048), make([]byte, 2048)
	if _, err := old.ReadAt(was, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(is, 0); err != nil || !bytes.Equal(was, is) {
		t.Errorf("the label differs:\n%x\n%x", was, is)
	}
	made := fstest.Loop(t, image)
	for _, ask := range [][]string{
		{"lvs", "-o", "lv_name,vg_name,lv_size,lv_uuid,seg_start_pe,seg_size_pe", "--units", "b"},
		{"vgs", "-o", "vg_name,vg_uuid,vg_size,vg_free,pv_count", "--units", "b"},
		{"pvs", "-o", "pv_uuid,pv_size,pe_start,dev_size", "--units", "b"},
	} {
		if a, b := tool(t, dev, ask[0], ask[1:]...), tool(t, made, ask[0], ask[1:]...); a != b || a == "" {
			t.Errorf("%v:\n%s\n%s", ask, a, b)
		}
	}
	tool(t, made, "vgck", "vg-lab")
}

// A text that is not right is refused.
func TestBadGroups(t *testing.T) {
	_, text := group(t, 100<<20)
	if _, err := Parse(text, "vg-lab"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"contents = ", "contents_ = ", "no volume group"},
		{"\nvg-lab {", "\nvg {", "no volume group"},
		{"extent_size = 8192", "extent_size = 0", "extents of 0"},
		{"extent_size = 8192", "extent_size = 9223372036854775807", "out of range"},
		{"extent_size = 8192", "extent_size = -8192", "out of range"},
		{"pe_start = 2048", "", "pe_start is missing"},
		{"pe_count = 24", "pe_count = 25", "do not fit"},
		{"pe_count = 24", "pe_count = 1152921504606846975", "do not fit"},
		{`"pv0", 12`, `"pv0", 23`, "not on"},
		{`"pv0", 12`, `"pv1", 12`, "not on"},
		{`"pv0", 12`, `"pv0", -1`, "not on"},
		{"start_extent = 10", "start_extent = 11", "do not follow"},
		{"extent_count = 10", "extent_count = 9", "do not follow"},
		{`"pv0", 12`, `"pv0, 12`, "without end"},
		{"pv0 {", "pv0 [", "neither"},
		{"pv0 {", strings.Repeat("a {", 12), "deep"},
		{"dev_size = ", "dev_size = x", "not a number"},
	} {
		bad := strings.Replace(string(text), tt.old, tt.new, 1)
		if bad == string(text) {
			t.Fatalf("%q is not in the text", tt.old)
		}
		if _, err := Parse([]byte(bad), "vg-lab"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q: %v", tt.new, tt.old, err)
		}
	}
	striped := strings.Replace(string(text), `type = "striped"`, `type = "thin"`, 1)
	g, err := Parse([]byte(striped), "vg-lab")
	if err != nil || g.Logical[0].Kind != "thin" || g.Logical[1].Kind != "linear" {
		t.Errorf("thin: %+v, %v", g, err)
	}
	g.text = bytes.Repeat([]byte("#"), 1<<20)
	if _, err := g.Metadata("pv0"); err == nil || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("a text of a MiB: %v", err)
	}
	if _, err := g.Metadata("pv7"); err == nil {
		t.Error("no error for a volume that is not there")
	}
}

// Whatever the text, segments lie where they may.
func FuzzParse(f *testing.F) {
	f.Add([]byte("contents = \"Text Format Volume Group\"\nversion = 1\nvg { extent_size = 8 physical_volumes { p { id = \"12345678901234567890123456789012\" dev_size = 4096 pe_start = 1 pe_count = 9 } } logical_volumes { l { status = [\"VISIBLE\"] segment1 { start_extent = 0 extent_count = 3 type = \"striped\" stripe_count = 1 stripes = [\"p\", 2] } } } }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		g, err := Parse(text, "vg")
		if err != nil {
			return
		}
		for _, pv := range g.Physical {
			_, _ = g.Metadata(pv.Name)
		}
		for _, lv := range g.Logical {
			at := int64(0)
			for _, s := range lv.Segments {
				if s.Offset < at || s.Length < 0 || s.At < 0 || s.At+s.Length < s.At {
					t.Fatalf("%+v", lv)
				}
				at = s.Offset + s.Length
			}
		}
	})
}
