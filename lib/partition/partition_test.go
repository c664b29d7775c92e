// SPDX-License-Identifier: GPL-2.0-or-later

package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ezio/lib/extent"
)

const mib = 1 << 20

// sfdisk makes an image of size bytes with a table by util-linux, and returns its bytes.
func sfdisk(t testing.TB, size int64, script string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/sbin/sfdisk", "-q", path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	gptScript = "label: gpt\nstart=2048,size=8192,name=one\nstart=10240,size=4096\n"
	dosScript = "label: dos\nstart=2048,size=8192,type=83\nstart=10240,size=20480,type=f\nstart=32768,size=2048,type=82\n" +
		"start=12288,size=4096,type=83\nstart=18432,size=2048,type=7\n"
)

// made are the disks of this run; sfdisk takes its time.
var made = map[string][]byte{}

func disk(t testing.TB, size int64, script string) []byte {
	if made[script] == nil {
		made[script] = sfdisk(t, size, script)
	}
	return bytes.Clone(made[script])
}

func gptDisk(t testing.TB) []byte { return disk(t, 8*mib, gptScript) }
func dosDisk(t testing.TB) []byte { return disk(t, 32*mib, dosScript) }

func read(b []byte, sectors ...int64) (*Table, error) {
	if len(sectors) == 0 {
		sectors = []int64{512, 4096}
	}
	return Read(bytes.NewReader(b), int64(len(b)), sectors...)
}

// summary is the partitions of a table, in sectors.
func summary(t *Table) string {
	var s []string
	for _, p := range t.Parts {
		s = append(s, fmt.Sprintf("%d:%d+%d", p.Number, p.Offset/t.Sector, p.Length/t.Sector))
	}
	return strings.Join(s, " ")
}

func TestTablesOfOtherPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		disk []byte
		kind string
		want string
	}{
		"gpt":                    {gptDisk(t), GPT, "1:2048+8192 2:10240+4096"},
		"gpt without partitions": {sfdisk(t, 32*mib, "label: gpt\n"), GPT, ""},
		"dos":                    {dosDisk(t), DOS, "1:2048+8192 5:12288+4096 6:18432+2048 3:32768+2048"},
		"dos without partitions": {sfdisk(t, 32*mib, "label: dos\n"), DOS, ""},
	} {
		tab, err := read(c.disk)
		if err != nil || tab.Kind != c.kind || summary(tab) != c.want || tab.Sector != 512 || len(tab.Notes) != 0 {
			t.Errorf("%s: %+v, %v", name, tab, err)
		}
	}
	if _, err := read(make([]byte, mib)); err != ErrNone {
		t.Errorf("an empty disk: %v", err)
	}
	if _, err := read(nil); err != ErrNone {
		t.Errorf("no disk: %v", err)
	}
}

func TestGaps(t *testing.T) {
	tab, err := read(dosDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	got, left := tab.Gaps()
	sector := func(first, n int64) extent.Extent { return extent.Extent{Offset: first * 512, Length: n * 512} }
	// The gap before the first partition, those before the logical ones, with their boot records, and
	// the tail; 6 MiB before the last one and 14 MiB after it are free.
	want := []extent.Extent{sector(0, 2048), sector(10240, 2048), sector(16384, 2048), sector(63488, 2048)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
	if wantLeft := int64((12288 + 28672) * 512); left != wantLeft {
		t.Errorf("%d bytes left out, want %d", left, wantLeft)
	}
	// A first gap larger than any boot loader, and tables in the middle of nowhere.
	far := &Table{Sector: 512, Size: 1 << 40, Parts: []Part{{1, extent.Extent{Offset: 1 << 30, Length: 1 << 30}}},
		Tables: []extent.Extent{{Offset: 512 * mib, Length: 512}}}
	got, _ = far.Gaps()
	want = []extent.Extent{{Offset: 0, Length: bootGap}, {Offset: 512 * mib, Length: 512}, {Offset: 1<<40 - tail, Length: tail}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
}

// put writes a little-endian number of 4 or 8 bytes.
func put(b []byte, at int, v any) {
	switch v := v.(type) {
	case uint32:
		binary.LittleEndian.PutUint32(b[at:], v)
	case uint64:
		binary.LittleEndian.PutUint64(b[at:], v)
	case byte:
		b[at] = v
	}
}

// resum makes the sums of a GPT right again after its primary was changed.
func resum(b []byte) {
	h := b[512:1024]
	put(h, 88, crc(b[1024:1024+128*128]))
	put(h, 16, uint32(0))
	put(h, 16, crc(h[:92]))
}

func TestDamaged(t *testing.T) {
	first := 446
	ebr := 10240 * 512
	for name, c := range map[string]struct {
		disk   []byte
		harm   func(b []byte)
		want   string // the table read, or
		note   string // said of it
		refuse string // part of the error
	}{
		"primary header":    {gptDisk(t), func(b []byte) { b[512+60]++ }, "1:2048+8192 2:10240+4096", "primary GPT is damaged", ""},
		"primary signature": {gptDisk(t), func(b []byte) { b[512]++ }, "1:2048+8192 2:10240+4096", "primary GPT is damaged", ""},
		"primary entries":   {gptDisk(t), func(b []byte) { b[1024+40]++ }, "1:2048+8192 2:10240+4096", "primary GPT is damaged", ""},
		"primary of wild size": {gptDisk(t), func(b []byte) { put(b, 512+80, uint32(0xffffffff)); resumHeader(b) },
			"1:2048+8192 2:10240+4096", "primary GPT is damaged", ""},
		"primary with wild entries": {gptDisk(t), func(b []byte) { put(b, 512+72, uint64(1)<<60); resumHeader(b) },
			"1:2048+8192 2:10240+4096", "primary GPT is damaged", ""},
		"backup header": {gptDisk(t), func(b []byte) { b[len(b)-512]++ }, "1:2048+8192 2:10240+4096", "backup GPT is damaged", ""},
		"backup beyond": {gptDisk(t), func(b []byte) { put(b, 512+32, uint64(1)<<50); resumHeader(b) }, "1:2048+8192 2:10240+4096", "backup GPT is not on", ""},
		"both headers":  {gptDisk(t), func(b []byte) { b[512]++; b[len(b)-512]++ }, "", "", "no GPT header"},
		"both sums":     {gptDisk(t), func(b []byte) { b[512+60]++; b[len(b)-512+60]++ }, "", "", "backup GPT also invalid"},
		"gpt overlap":   {gptDisk(t), func(b []byte) { put(b, 1024+40, uint64(10240)); resum(b) }, "", "", "before the end of partition 1"},
		"gpt beyond":    {gptDisk(t), func(b []byte) { put(b, 1024+128+40, uint64(1)<<40); resum(b) }, "", "", "beyond the disk's"},
		"gpt all bits":  {gptDisk(t), func(b []byte) { put(b, 1024+40, ^uint64(0)); resum(b) }, "2:10240+4096", "no sectors", ""},
		"gpt in table":  {gptDisk(t), func(b []byte) { put(b, 1024+32, uint64(5)); resum(b) }, "", "", "before the end of the table"},
		"gpt of no sectors": {gptDisk(t), func(b []byte) { put(b, 1024+128+40, uint64(10239)); resum(b) },
			"1:2048+8192", "partition 2 has no sectors", ""},
		"dos signature":  {dosDisk(t), func(b []byte) { b[510] = 0 }, "", "", "no partition table"},
		"dos boot flag":  {dosDisk(t), func(b []byte) { b[first] = 7 }, "", "", "invalid partition"},
		"dos overlap":    {dosDisk(t), func(b []byte) { put(b, first+12, uint32(10000)) }, "", "", "before the end of partition 1"},
		"dos beyond":     {dosDisk(t), func(b []byte) { put(b, first+32+12, uint32(100000)) }, "", "", "beyond the disk's"},
		"dos in table":   {dosDisk(t), func(b []byte) { put(b, first+8, uint32(0)) }, "", "", "the table begins at 0x0, before the end of partition 1"},
		"dos no sectors": {dosDisk(t), func(b []byte) { put(b, first+12, uint32(0)) }, "5:12288+4096 6:18432+2048 3:32768+2048", "partition 1 has no sectors", ""},
		"extended beyond": {dosDisk(t), func(b []byte) { put(b, first+16+12, uint32(1<<31)) }, "", "",
			"extended partition 2: it ends at"},
		"extended without a record": {dosDisk(t), func(b []byte) { b[ebr+510] = 0 }, "1:2048+8192 3:32768+2048", "no boot record", ""},
		"chain to itself":           {dosDisk(t), func(b []byte) { put(b, ebr+first+16+8, uint32(0)) }, "", "", "does not end"},
		"chain outside":             {dosDisk(t), func(b []byte) { put(b, ebr+first+16+8, uint32(20480)) }, "", "", "leaves it"},
		"chain to nothing":          {dosDisk(t), func(b []byte) { put(b, ebr+first+16+8, uint32(2040)) }, "", "", "is no boot record"},
		"logical of no sectors": {dosDisk(t), func(b []byte) { put(b, ebr+first+12, uint32(0)) },
			"1:2048+8192 5:18432+2048 3:32768+2048", "", ""},
		"logical beyond": {dosDisk(t), func(b []byte) { put(b, ebr+first+12, uint32(1<<30)) }, "", "", "beyond the disk's"},
	} {
		b := bytes.Clone(c.disk)
		c.harm(b)
		tab, err := read(b)
		switch {
		case c.refuse != "":
			if err == nil || !strings.Contains(err.Error(), c.refuse) {
				t.Errorf("%s: %v, want %q", name, err, c.refuse)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case summary(tab) != c.want || !strings.Contains(strings.Join(tab.Notes, "\n"), c.note):
			t.Errorf("%s: %q, notes %q", name, summary(tab), tab.Notes)
		}
	}
}

func resumHeader(b []byte) {
	put(b, 512+16, uint32(0))
	put(b, 512+16, crc(b[512:512+92]))
}

type failing struct{}

func (f failing) ReadAt(p []byte, off int64) (int, error) { return 0, errors.New("input/output error") }

func TestUnreadable(t *testing.T) {
	if _, err := Read(failing{}, mib, 512); err == nil || !strings.Contains(err.Error(), "boot record at 0x0: input/output error") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	const size = 128 << 10
	gpt := sfdisk(f, size, "label: gpt\nfirst-lba: 34\nstart=34,size=50\nstart=100,size=40\n")
	dos := sfdisk(f, size, "label: dos\nstart=34,size=50,type=83\nstart=100,size=100,type=5\nstart=110,size=20\nstart=140,size=20\n")
	f.Add(gpt[:3*512], []byte{}, true)
	f.Add(gpt[:3*512], gpt[size-512:], false)
	f.Add(dos[:512], dos[100*512:101*512], false)
	f.Fuzz(func(t *testing.T, head, other []byte, sums bool) {
		disk := make([]byte, size)
		copy(disk[100*512:], other)                    // an extended boot record
		copy(disk[size-min(len(other), size):], other) // or a backup
		copy(disk, head)
		if sums {
			resum(disk)
		}
		for _, sector := range []int64{512, 4096} {
			tab, err := read(disk, sector)
			if err != nil {
				continue
			}
			end := int64(0)
			for _, p := range tab.Parts {
				if p.Offset < end || p.Length <= 0 || p.End() > tab.Size {
					t.Fatalf("partitions %v", tab.Parts)
				}
				end = p.End()
			}
			gaps, left := tab.Gaps()
			all := slices.Clone(gaps)
			for _, p := range tab.Parts {
				all = append(all, p.Extent)
			}
			var n int64
			for _, e := range Union(all) {
				n += e.Length
			}
			if n+left != tab.Size {
				t.Fatalf("%d bytes described and %d left of %d", n, left, tab.Size)
			}
			for _, captured := range []int64{0, 1, sector, 10 * sector, size - 40*512, size - 512} {
				Captured(bytes.NewReader(disk), captured, size, sector)
			}
			larger := append(bytes.Clone(disk), make([]byte, 64<<10)...)
			if writes, err := Move(bytes.NewReader(larger), int64(len(disk)), int64(len(larger)), sector); err == nil {
				for _, w := range writes {
					copy(larger[w.Offset:], w.Data)
				}
				if again, err := read(larger, sector); err != nil || summary(again) != summary(tab) {
					t.Fatalf("after the move: %v, %q, was %q", err, summary(again), summary(tab))
				}
				if patches, ok := Captured(bytes.NewReader(larger), size, int64(len(larger)), sector); ok {
					was := &extent.Patched{Disk: bytes.NewReader(larger), Patches: patches}
					if again, err := Read(was, size, sector); err != nil || summary(again) != summary(tab) {
						t.Fatalf("as captured: %v, %q, was %q", err, summary(again), summary(tab))
					}
				}
			}
		}
	})
}
