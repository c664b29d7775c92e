// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ezio/lib/extent"
	"ezio/lib/lvm"
)

// A physicalVolume is a line of lvm_vg_dev.list.
type physicalVolume struct {
	group, dev, id string
	at             partition // of the disk that is wanted; no name if it is elsewhere
}

type physicalVolumes []*physicalVolume

// physicalVolumes reads lvm_vg_dev.list: group, device, id.
func (d *directory) physicalVolumes() (physicalVolumes, error) {
	b, err := d.read("lvm_vg_dev.list", 1<<20)
	if err != nil {
		return nil, err
	}
	var list physicalVolumes
	for line := range strings.Lines(string(b)) {
		switch f := strings.Fields(line); {
		case len(f) == 0:
		case len(f) != 3 || strings.Contains(f[0], "/"):
			return nil, fmt.Errorf("%s: lvm_vg_dev.list has a line %.80q", d.path, strings.TrimSpace(line))
		default:
			list = append(list, &physicalVolume{group: f[0], dev: fileName(f[1]), id: f[2]})
		}
	}
	return list, nil
}

// holds says whether a partition is one of them, and remembers where that is.
func (list physicalVolumes) holds(p partition) bool {
	for _, pv := range list {
		if pv.dev == p.name {
			pv.at = p
			return true
		}
	}
	return false
}

// groups adds the volume groups that lie on the disk.
func (im *Image) groups(ctx context.Context, d *directory, list physicalVolumes) error {
	seen := map[string]bool{}
	for _, pv := range list {
		if pv.at.name == "" || seen[pv.group] {
			continue
		}
		seen[pv.group] = true
		if err := im.group(ctx, d, pv.group, list); err != nil {
			return fmt.Errorf("%s: volume group %s: %w", d.path, pv.group, err)
		}
	}
	return nil
}

// group makes the metadata of a group anew, as Clonezilla does from the same text, and finds the images of
// its logical volumes.
func (im *Image) group(ctx context.Context, d *directory, name string, list physicalVolumes) error {
	file := "lvm_" + name + ".conf"
	text, err := d.read(file, 8<<20)
	if err != nil {
		return err
	}
	if text == nil {
		return fmt.Errorf("%s is missing", file)
	}
	g, err := lvm.Parse(text, name)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	places := map[string]partition{}
	for _, pv := range g.Physical {
		i := slices.IndexFunc(list, func(l *physicalVolume) bool { return l.id == pv.ID && l.at.name != "" })
		if i < 0 {
			return fmt.Errorf("it is also on another disk, or on one that is not in the image")
		}
		p := list[i].at
		if pv.Size > p.size {
			return fmt.Errorf("its physical volume on %s has %d bytes, the partition %d", p.name, pv.Size, p.size)
		}
		places[pv.Name] = p
		metadata, err := g.Metadata(pv.Name)
		if err != nil {
			return err
		}
		for _, m := range metadata {
			im.regions = append(im.regions, patchRegion(patch{p.offset + m.Offset, m.Data}))
		}
	}
	for _, lv := range g.Logical {
		if err := im.logicalVolume(ctx, d, name, lv, places); err != nil {
			return fmt.Errorf("logical volume %s: %w", lv.Name, err)
		}
	}
	return nil
}

// logicalVolume adds the image of a logical volume, cut where the volume is.
func (im *Image) logicalVolume(ctx context.Context, d *directory, group string, lv lvm.Logical, places map[string]partition) error {
	if lv.Kind != "linear" {
		return fmt.Errorf("it is of type %s: restore the image to a disk and capture that", lv.Kind)
	}
	r, err := d.content(ctx, partition{name: group + "-" + lv.Name, size: lv.Size})
	switch {
	case err != nil:
		return err
	case r == nil && lv.Visible:
		im.Notes = append(im.Notes, fmt.Sprintf("the logical volume %s of %s is not in the image: on the target it keeps what is there", lv.Name, group))
		return nil
	case r == nil:
		return nil
	case r.deviceSize > lv.Size:
		return fmt.Errorf("its image is of %d bytes, the volume has %d", r.deviceSize, lv.Size)
	}
	skip, last := int64(0), -1
	for _, seg := range lv.Segments {
		cut, before := *r, skip
		cut.offset, cut.skip, cut.extents = places[seg.Physical].offset+seg.At, skip, nil
		for _, e := range r.extents {
			from, to := max(e.Offset, seg.Offset), min(e.End(), seg.Offset+seg.Length)
			if from < to {
				cut.extents = append(cut.extents, extent.Extent{Offset: cut.offset + from - seg.Offset, Length: to - from})
				skip += to - from
			}
		}
		if cut.archive == nil {
			cut.data = r.data[before:skip]
		}
		if len(cut.extents) > 0 {
			if last >= 0 {
				im.regions[last].part = true
			}
			last = len(im.regions)
			im.regions = append(im.regions, cut)
		}
	}
	return nil
}
