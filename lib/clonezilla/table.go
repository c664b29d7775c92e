// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits of what a partition table may claim: sectors of 512 to 4096 bytes, and byte offsets that
// leave room for sums.
const (
	minSector  = 512
	maxSector  = 4096
	maxDisk    = math.MaxInt64 / 4
	maxEntries = 1024
)

// A table is what `sfdisk -d` says of a disk (NAME-pt.sf).
type table struct {
	label      string // gpt or dos
	sector     int64  // bytes
	partitions []partition
}

// A partition of a table.
type partition struct {
	name   string // as Clonezilla names files for it: sda1, cciss-c0d0p1
	offset int64  // bytes from the beginning of the disk
	size   int64  // bytes
	kind   string // sfdisk's: 83, or a GUID
	boot   bool
}

// extended says whether it is only the container of logical partitions.
func (p partition) extended() bool {
	return slices.Contains([]string{"5", "05", "f", "0f", "85"}, strings.ToLower(p.kind))
}

// parseTable reads the dump of sfdisk, of the present one and of those before 2.26, which said Id=
// and knew only one label.
func parseTable(r io.Reader) (*table, error) {
	t := &table{label: "dos", sector: minSector}
	type entry struct {
		name, fields string
	}
	var entries []entry
	sc := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if name, fields, ok := strings.Cut(line, " :"); ok && strings.HasPrefix(name, "/dev/") {
			entries = append(entries, entry{fileName(strings.TrimSpace(name)), fields})
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "label":
			t.label = value
		case "sector-size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < minSector || n > maxSector || n&(n-1) != 0 {
				return nil, fmt.Errorf("sector size %q", value)
			}
			t.sector = n
		case "unit":
			if value != "sectors" {
				return nil, fmt.Errorf("unit %q, want sectors", value)
			}
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if t.label != "gpt" && t.label != "dos" {
		return nil, fmt.Errorf("a partition table of type %q", t.label)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%d partitions", len(entries))
	}
	for _, e := range entries {
		p, err := t.parsePartition(e.name, e.fields)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if p.size > 0 { // older dumps list all four, used or not
			t.partitions = append(t.partitions, p)
		}
	}
	slices.SortStableFunc(t.partitions, func(a, b partition) int { return int(max(-1, min(1, a.offset-b.offset))) })
	return t, nil
}

// parsePartition reads `start= 2048, size= 204800, type=83, bootable`.
func (t *table) parsePartition(name, fields string) (partition, error) {
	p := partition{name: name}
	for f := range strings.SplitSeq(fields, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		value = strings.TrimSpace(value)
		var err error
		switch strings.TrimSpace(key) {
		case "start":
			p.offset, err = t.bytes(value)
		case "size":
			p.size, err = t.bytes(value)
		case "type", "Id":
			p.kind = value
		case "bootable":
			p.boot = true
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// bytes are a number of sectors.
func (t *table) bytes(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxDisk/t.sector {
		return 0, fmt.Errorf("%.40q is not a number of sectors", s)
	}
	return n * t.sector, nil
}

// end is the offset behind the last partition.
func (t *table) end() int64 {
	var end int64
	for _, p := range t.partitions {
		end = max(end, p.offset+p.size)
	}
	return end
}

// fileName is a device's name as Clonezilla uses it in the names of files.
func fileName(dev string) string {
	return strings.ReplaceAll(strings.TrimPrefix(dev, "/dev/"), "/", "-")
}

// A patch is a run of bytes of the disk that is known without unpacking anything.
type patch struct {
	offset int64
	data   []byte
}

// The boot sector's parts: code, the table of four, and the signature.
const (
	tableAt  = 446
	entryLen = 16
	bootSize = 512
)

// extendedRecords makes the chain of boot records by which logical partitions are found. Clonezilla
// keeps only the first of them, and has sfdisk make them anew from the dump when it restores. first
// is that one, of which only the code is taken; nil if it is not there.
func (t *table) extendedRecords(first []byte) ([]patch, error) {
	var logical []partition
	i := slices.IndexFunc(t.partitions, partition.extended)
	if i < 0 {
		return nil, nil
	}
	box := t.partitions[i]
	for _, p := range t.partitions {
		if !p.extended() && p.offset >= box.offset && p.offset < box.offset+box.size {
			logical = append(logical, p)
		}
	}
	at := make([]int64, len(logical)) // of each one's record
	free := box.offset
	for i, p := range logical {
		at[i] = max(free, p.offset-2048*t.sector) // where today's programs put it
		if i == 0 {
			at[i] = box.offset // the only one that is found by its place
		}
		if at[i]+t.sector > p.offset {
			return nil, fmt.Errorf("%s begins at %#x: there is no room for its boot record before it", p.name, p.offset)
		}
		free = p.offset + p.size
	}
	patches := make([]patch, 0, len(logical)+1)
	for i, p := range logical {
		b := make([]byte, bootSize)
		if i == 0 && len(first) >= tableAt {
			copy(b, first[:tableAt])
		}
		if err := t.putEntry(b, 0, p.kind, p.boot, p.offset-at[i], p.size); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if i+1 < len(logical) {
			next := logical[i+1]
			if err := t.putEntry(b, 1, "5", false, at[i+1]-box.offset, next.offset+next.size-at[i+1]); err != nil {
				return nil, fmt.Errorf("%s: %w", next.name, err)
			}
		}
		b[510], b[511] = 0x55, 0xaa
		patches = append(patches, patch{at[i], b})
	}
	if len(logical) == 0 { // an empty chain is one empty record
		b := make([]byte, bootSize)
		copy(b[:tableAt], first)
		b[510], b[511] = 0x55, 0xaa
		patches = append(patches, patch{box.offset, b})
	}
	return patches, nil
}

// putEntry writes entry n of a boot record; offset and size in bytes. What lies beyond the reach of
// cylinders, heads and sectors is said by their greatest value.
func (t *table) putEntry(b []byte, n int, kind string, boot bool, offset, size int64) error {
	id, err := strconv.ParseUint(kind, 16, 8)
	start, count := offset/t.sector, size/t.sector
	if err != nil || start > math.MaxUint32 || count > math.MaxUint32 {
		return fmt.Errorf("type %q, %d sectors at %d do not fit a boot record", kind, count, start)
	}
	e := b[tableAt+n*entryLen:][:entryLen]
	if boot {
		e[0] = 0x80
	}
	copy(e[1:], "\xfe\xff\xff")
	e[4] = byte(id)
	copy(e[5:], "\xfe\xff\xff")
	binary.LittleEndian.PutUint32(e[8:], uint32(start))
	binary.LittleEndian.PutUint32(e[12:], uint32(count))
	return nil
}

// gptMagic begins the header of a GUID partition table (UEFI specification, 5.3.2).
const gptMagic = "EFI PART"

// parseGPT looks at the disk's beginning, as far as Clonezilla keeps it (NAME-gpt-1st, 34 sectors
// of 512 bytes whatever the disk's own): the part of it that is the table, and the disk's size.
func (t *table) parseGPT(b []byte) (head []byte, diskSize int64, err error) {
	if int64(len(b)) < 2*t.sector || !bytes.HasPrefix(b[t.sector:], []byte(gptMagic)) {
		return nil, 0, errors.New("there is no GPT header in its second sector")
	}
	le := binary.LittleEndian
	h := b[t.sector:]
	last, entries := le.Uint64(h[32:]), le.Uint64(h[72:])
	count, size := uint64(le.Uint32(h[80:])), uint64(le.Uint32(h[84:]))
	if last >= uint64(maxDisk/t.sector) || entries > uint64(maxDisk/t.sector) || size > 4096 || count > 4096 {
		return nil, 0, fmt.Errorf("its header is damaged: last sector %d, %d entries of %d bytes", last, count, size)
	}
	end := int64(entries)*t.sector + int64(count*size)
	if end > int64(len(b)) {
		return nil, 0, fmt.Errorf("it holds %d bytes of a table of %d", len(b), end)
	}
	end = (end + t.sector - 1) / t.sector * t.sector
	return b[:min(end, int64(len(b)))], (int64(last) + 1) * t.sector, nil
}

// backupGPT finds the offset of the backup in a disk of the given size. b is what Clonezilla keeps
// of it, the last 33 sectors of 512 bytes.
func (t *table) backupGPT(b []byte, diskSize int64) (patch, error) {
	if int64(len(b)) < t.sector || !bytes.HasPrefix(b[int64(len(b))-t.sector:], []byte(gptMagic)) {
		return patch{}, errors.New("there is no GPT header in its last sector")
	}
	b = b[len(b)%int(t.sector):]
	return patch{diskSize - int64(len(b)), b}, nil
}

// partedSize finds the disk's size in what parted printed (NAME-pt.parted): `Disk /dev/sda: 2048s`.
func (t *table) partedSize(r io.Reader) (int64, bool) {
	sc := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for sc.Scan() {
		rest, ok := strings.CutPrefix(sc.Text(), "Disk /dev/")
		if !ok {
			continue
		}
		_, size, _ := strings.Cut(rest, ":")
		size, ok = strings.CutSuffix(strings.TrimSpace(size), "s")
		if n, err := t.bytes(size); ok && err == nil {
			return n, true
		}
	}
	return 0, false
}
