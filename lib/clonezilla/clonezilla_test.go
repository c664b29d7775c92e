// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const gptDump = `label: gpt
label-id: 3F2504E0-4F89-11D3-9A0C-0305E82C3301
device: /dev/nvme0n1
unit: sectors
first-lba: 34
last-lba: 1023966
sector-size: 512

/dev/nvme0n1p1 : start=        2048, size=      245760, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=A, name="efi, with = and :"
/dev/nvme0n1p2 : start=      247808, size=      409600, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=B
`

// sfdisk before 2.26, from a Clonezilla of 2012.
const oldDump = `# partition table of /dev/cciss/c0d0
unit: sectors

/dev/cciss/c0d0p1 : start=       63, size=   208782, Id=83, bootable
/dev/cciss/c0d0p2 : start=   208845, size=  1000000, Id= 5
/dev/cciss/c0d0p3 : start=        0, size=        0, Id= 0
/dev/cciss/c0d0p4 : start=        0, size=        0, Id= 0
/dev/cciss/c0d0p5 : start=   208908, size=   300000, Id=83
/dev/cciss/c0d0p6 : start=   508971, size=   100000, Id=82
`

func TestParseTable(t *testing.T) {
	got, err := parseTable(strings.NewReader(gptDump))
	if err != nil || got.label != "gpt" || len(got.partitions) != 2 ||
		got.partitions[1] != (partition{name: "nvme0n1p2", offset: 247808 * 512, size: 409600 * 512, kind: "0FC63DAF-8483-4772-8E79-3D69D8477DE4"}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = parseTable(strings.NewReader(oldDump))
	if err != nil || got.label != "dos" || len(got.partitions) != 4 || !got.partitions[1].extended() || !got.partitions[0].boot ||
		got.partitions[2].name != "cciss-c0d0p5" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"label: sun\n", "sector-size: 513\n", "sector-size: 1048576\n", "unit: cylinders\n",
		"/dev/a1 : start=-1, size=5\n", "/dev/a1 : start=1, size=99999999999999999999\n", "/dev/a1 : start=x\n",
		strings.Repeat("/dev/a1 : start=1, size=1\n", maxEntries+1),
	} {
		if got, err := parseTable(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q: %+v", bad, got)
		}
	}
}

// Where older programs left 63 sectors for each record there is no room for 2048.
func TestExtendedRecords(t *testing.T) {
	tab, err := parseTable(strings.NewReader(oldDump))
	if err != nil {
		t.Fatal(err)
	}
	patches, err := tab.extendedRecords([]byte(strings.Repeat("code", 128)))
	if err != nil || len(patches) != 2 {
		t.Fatalf("%+v, %v", patches, err)
	}
	if patches[0].offset != 208845*512 || patches[1].offset != 508908*512 {
		t.Errorf("records at sectors %d and %d", patches[0].offset/512, patches[1].offset/512)
	}
	if string(patches[0].data[:4]) != "code" || patches[1].data[0] != 0 {
		t.Error("the code belongs to the first record alone")
	}
	tab.partitions[3].offset = tab.partitions[2].offset + tab.partitions[2].size
	if _, err := tab.extendedRecords(nil); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("without room: %v", err)
	}
	tab.partitions = tab.partitions[:2]
	if patches, err = tab.extendedRecords(nil); err != nil || len(patches) != 1 {
		t.Errorf("an empty chain: %d records, %v", len(patches), err)
	}
}

func TestFindArchive(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sda3.dd-img"), []byte("\x1f\x8b..............."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		part, names string
		want        string // filesystem and packing
		files       int
	}{
		{"sda1", "sda1.ext4-ptcl-img.gz.aa sda1.ext4-ptcl-img.gz.ab sda10.xfs-ptcl-img.gz.aa", "ext4 gz", 2},
		{"sda1", "sda1.ntfs-ptcl-img.zst sda1.info", "ntfs zst", 1},
		{"sda1", "sda1.hfs+-ptcl-img.uncomp.aaa sda1.hfs+-ptcl-img.uncomp.aab", "hfs+ uncomp", 2},
		{"sda3", "sda3.dd-img", "dd gz", 1},
		{"sda2", "sda1.ext4-ptcl-img.gz sda2-ebr", "", 0},
	} {
		a, err := findArchive(dir, strings.Fields(tt.names), tt.part)
		switch {
		case err != nil:
			t.Errorf("%s: %v", tt.names, err)
		case a == nil:
			if tt.want != "" {
				t.Errorf("%s: none", tt.names)
			}
		case a.fs+" "+a.pack.suffix != tt.want || len(a.files) != tt.files:
			t.Errorf("%s: %+v", tt.names, a)
		}
	}
	for names, want := range map[string]string{
		"sda1.ext4-ptcl-img.gz.ab":                           "slice aa is missing",
		"sda1.ext4-ptcl-img.gz.aa sda1.ext4-ptcl-img.gz.ac":  "slice ab is missing",
		"sda1.ext4-ptcl-img.gz.aa sda1.ext4-ptcl-img.zst.aa": "both",
		"sda1.ext4-ptcl-img.gz sda1.ext4-ptcl-img.gz.aa":     "slice",
		"sda1.ntfs-img.aa":                                   "partclone", "sda1.000": "partclone", "sda1.aa": "partclone", "sda1.reiserfs-img.aa": "partclone",
	} {
		if _, err := findArchive(dir, strings.Fields(names), "sda1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", names, err)
		}
	}
	var slices []string
	for a := 'a'; a <= 'b'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			slices = append(slices, string(a)+string(b))
		}
	}
	if err := consecutive(slices); err != nil {
		t.Error(err)
	}
}

func TestGPT(t *testing.T) {
	tab := &table{sector: 512}
	b := make([]byte, 34*512)
	copy(b[512:], gptMagic)
	b[512+32], b[512+72], b[512+80], b[512+84] = 99, 2, 128, 128
	head, size, err := tab.parseGPT(b)
	if err != nil || len(head) != 34*512 || size != 100*512 {
		t.Errorf("%d, %d, %v", len(head), size, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": b[:34*512-1], "no header": make([]byte, 34*512),
		"many": slices.Concat(b[:512+82], []byte{1}, b[512+83:]), "huge": slices.Concat(b[:512+39], []byte{1}, b[512+40:]),
	} {
		if _, _, err := tab.parseGPT(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if size, ok := tab.partedSize(strings.NewReader("Model: x\nDisk /dev/sda: 2048s\n")); !ok || size != 1<<20 {
		t.Errorf("size %d, %v", size, ok)
	}
	if _, ok := tab.partedSize(strings.NewReader("Disk /dev/sda: 20GB\n")); ok {
		t.Error("20GB is no number of sectors")
	}
}

// Programs end early, fail at the end, or are not there.
func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path, []byte("some bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(args ...string) (string, error) {
		a := &archive{path: path, files: []string{path, path}, pack: packing{unpack: [][]string{{"/nonexistent/program"}, args}}}
		r, err := a.open(t.Context())
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(r)
		return string(b), errors.Join(err, r.Close())
	}
	if got, err := try("cat"); err != nil || got != "some bytessome bytes" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := try("sh", "-c", "cat; echo two >&2; echo lines >&2; exit 3"); got != "some bytessome bytes" || err == nil || !strings.HasSuffix(err.Error(), "sh: exit status 3: two lines") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := try("no-such-program"); err == nil || !strings.Contains(err.Error(), "no-such-program: executable file not found") {
		t.Errorf("%v", err)
	}
	a := &archive{path: path, files: []string{path}, pack: packing{unpack: [][]string{{"yes"}}}}
	r, err := a.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil { // it would write for ever
		t.Error(err)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(gptDump)
	f.Add(oldDump)
	f.Add("/dev/a1 : start=1, size=9, type=5\n/dev/a5 : start=2, size=1, type=83\n")
	f.Fuzz(func(t *testing.T, s string) {
		tab, err := parseTable(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, p := range tab.partitions {
			if p.offset < 0 || p.size <= 0 || p.offset+p.size < p.offset || strings.Contains(p.name, "/") {
				t.Fatalf("%+v", p)
			}
		}
		patches, err := tab.extendedRecords(nil)
		if err != nil {
			return
		}
		for _, p := range patches {
			if p.offset < 0 || len(p.data) != bootSize {
				t.Fatalf("%+v", p)
			}
		}
	})
}

func FuzzSwap(f *testing.F) {
	f.Add("UUID=\"92d422f0-3a17-4e69-93f0-f8fd1091e5eb\"\nLABEL=\"\"\n", int64(1<<20))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		uuid, label, err := parseSwap(strings.NewReader(s))
		if err != nil {
			return
		}
		if b, err := swapHeader(size, uuid, label); err == nil && len(b) != swapPage {
			t.Fatalf("%d bytes", len(b))
		}
	})
}
