// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// limitAround is the most that may precede the first partition: Clonezilla saves a GiB at most.
const limitAround = 1 << 30

// around finds the disk's size and what lies around its partitions: boot sector, table, the gap
// behind it, boot records of logical partitions, the table's backup.
func (im *Image) around(d *directory, t *table) error {
	if t.label == "gpt" {
		return im.aroundGPT(d, t)
	}
	return im.aroundMBR(d, t)
}

func (im *Image) aroundGPT(d *directory, t *table) error {
	name := im.Name + "-gpt-1st"
	b, err := d.read(name, 1<<20)
	if err != nil {
		return err
	}
	head, size, err := t.parseGPT(b)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, name), err)
	}
	im.Size = size
	im.regions = append(im.regions, patchRegion(patch{0, head}))
	name = im.Name + "-gpt-2nd"
	if b, err = d.read(name, 1<<20); err != nil {
		return err
	}
	if b == nil {
		im.Notes = append(im.Notes, "the backup of the partition table is not in the image")
		return nil
	}
	p, err := t.backupGPT(b, size)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, name), err)
	}
	im.regions = append(im.regions, patchRegion(p))
	return nil
}

func (im *Image) aroundMBR(d *directory, t *table) error {
	mbr, err := d.read(im.Name+"-mbr", 1<<20)
	if err != nil {
		return err
	}
	if len(mbr) < bootSize || mbr[510] != 0x55 || mbr[511] != 0xaa {
		return fmt.Errorf("%s: it is missing, or no boot sector", filepath.Join(d.path, im.Name+"-mbr"))
	}
	parted, err := d.read(im.Name+"-pt.parted", 1<<20)
	if err != nil {
		return err
	}
	size, ok := t.partedSize(bytes.NewReader(parted))
	if !ok {
		size = t.end()
		im.Notes = append(im.Notes, fmt.Sprintf("%s-pt.parted does not tell the disk's size: taking the end of the last partition", im.Name))
	}
	im.Size = size
	im.regions = append(im.regions, patchRegion(patch{0, mbr[:bootSize]}))
	gap, err := d.read(im.Name+"-hidden-data-after-mbr", limitAround)
	if err != nil {
		return err
	}
	if len(t.partitions) > 0 {
		gap = gap[:max(0, min(int64(len(gap)), t.partitions[0].offset-bootSize))]
	}
	if len(gap) > 0 {
		im.regions = append(im.regions, patchRegion(patch{bootSize, gap}))
	}
	return im.logical(d, t)
}

// logical adds the boot records of logical partitions.
func (im *Image) logical(d *directory, t *table) error {
	for _, p := range t.partitions {
		if !p.extended() {
			continue
		}
		first, err := d.read(p.name+"-ebr", 1<<20)
		if err != nil {
			return err
		}
		patches, err := t.extendedRecords(first)
		if err != nil {
			return err
		}
		for _, p := range patches {
			im.regions = append(im.regions, patchRegion(p))
		}
		return nil
	}
	return nil
}
