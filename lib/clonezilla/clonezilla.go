// SPDX-License-Identifier: GPL-2.0-or-later

// Package clonezilla reads the directory in which Clonezilla keeps the image of a disk or of some
// partitions (ocs-sr, scripts/sbin/ocs-functions): partclone images, packed and cut in slices, and
// beside them the partition table and what is needed to make swap partitions anew.
//
// An Image is the disk that Clonezilla would restore from it, as extents and as one stream in their
// order. What Clonezilla restores through other programs is refused rather than left out: images of
// partimage and ntfsclone, encrypted directories, and logical volumes that are not linear.
//
// The directory is outside input. Sizes are bounded before they are added, and two parts of the disk
// that overlap are an error.
package clonezilla

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ezio/lib/extent"
)

// An Image is a disk or a partition in a directory of Clonezilla's.
type Image struct {
	Name       string   // sda, sda1
	Size       int64    // of the disk or the partition, in bytes
	BlockSize  int64    // of the filesystem, or a sector of the disk, in bytes
	Filesystem string   // partclone's name; "" for a disk
	Table      string   // of a disk: gpt or dos; "" for a partition
	Notes      []string // what people should know: partitions that are not in the image

	extents []extent.Extent
	regions []region
}

// A ChoiceError says that a directory holds several things and one has to be named.
type ChoiceError struct {
	Dir   string
	Names []string
}

func (e *ChoiceError) Error() string {
	return fmt.Sprintf("%s holds several disks or partitions: %s", e.Dir, strings.Join(e.Names, ", "))
}

// directory is a listing, and what of it was asked for.
type directory struct {
	path  string
	names []string // in order
}

// Open looks at a directory: at its small files, and at the bitmaps with which its images begin.
// name says which disk or partition of it is wanted; "" is the only one there is.
func Open(ctx context.Context, path, name string) (*Image, error) {
	d := &directory{path: path}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		d.names = append(d.names, e.Name())
	}
	for _, crypt := range []string{"ecryptfs.info", "gocryptfs.info"} {
		if slices.Contains(d.names, crypt) {
			return nil, fmt.Errorf("%s is encrypted (%s): let Clonezilla decrypt it first", path, crypt)
		}
	}
	disks, err := d.words("disk")
	if err != nil {
		return nil, err
	}
	parts, err := d.words("parts")
	if err != nil {
		return nil, err
	}
	if len(disks)+len(parts) == 0 {
		return nil, fmt.Errorf("%s is no image directory of Clonezilla: it has neither a file disk nor parts", path)
	}
	switch all := append(slices.Clone(disks), parts...); {
	case name != "" && !slices.Contains(all, name):
		return nil, &ChoiceError{path, all}
	case name != "":
	case len(disks) == 1:
		name = disks[0]
	case len(disks) == 0 && len(parts) == 1:
		name = parts[0]
	default:
		return nil, &ChoiceError{path, all}
	}
	im := &Image{Name: name}
	if slices.Contains(disks, name) && slices.Contains(d.names, name+"-pt.sf") {
		err = im.disk(ctx, d, parts)
	} else {
		err = im.single(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return im, im.finish()
}

// words are those in a small file; none if there is no such file.
func (d *directory) words(name string) ([]string, error) {
	b, err := d.read(name, 64<<10)
	var list []string
	for w := range strings.FieldsSeq(string(b)) {
		list = append(list, fileName(w))
	}
	return list, err
}

// read is the content of a file of at most limit bytes; nil if there is no such file.
func (d *directory) read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", f.Name(), limit)
	}
	return b, nil
}

// single makes the image of a partition, or of a disk that has no partition table.
func (im *Image) single(ctx context.Context, d *directory) error {
	physical, err := d.physicalVolumes()
	if err != nil {
		return err
	}
	if physical.holds(partition{name: im.Name}) {
		return fmt.Errorf("%s: %s is a physical volume of LVM, and cannot be had without its disk", d.path, im.Name)
	}
	r, err := d.content(ctx, partition{name: im.Name, size: maxDisk})
	switch {
	case err != nil:
		return err
	case r == nil:
		return fmt.Errorf("%s has no image of %s", d.path, im.Name)
	}
	im.regions = []region{*r}
	im.Size, im.BlockSize, im.Filesystem = r.deviceSize, r.blockSize, r.filesystem
	return nil
}

// disk makes the image of a disk: what is before, between and behind its partitions, and these.
func (im *Image) disk(ctx context.Context, d *directory, parts []string) error {
	t, err := d.table(im.Name)
	if err != nil {
		return err
	}
	im.BlockSize, im.Table = t.sector, t.label
	if err := im.around(d, t); err != nil {
		return err
	}
	physical, err := d.physicalVolumes()
	if err != nil {
		return err
	}
	for _, p := range t.partitions {
		if p.extended() && t.label == "dos" {
			continue
		}
		if p.offset+p.size > im.Size {
			return fmt.Errorf("%s: %s ends beyond the disk's %d bytes", d.path, p.name, im.Size)
		}
		if physical.holds(p) {
			continue
		}
		r, err := d.content(ctx, p)
		switch {
		case err != nil:
			return err
		case r != nil:
			im.regions = append(im.regions, *r)
		case slices.Contains(parts, p.name):
			return fmt.Errorf("%s has no image of %s, which its file parts lists", d.path, p.name)
		default:
			im.Notes = append(im.Notes, p.name+" is not in the image: on the target it keeps what is there")
		}
	}
	return im.groups(ctx, d, physical)
}

// table reads a disk's partition table.
func (d *directory) table(disk string) (*table, error) {
	f, err := os.Open(filepath.Join(d.path, disk+"-pt.sf"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := parseTable(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return t, nil
}

// finish orders the regions and checks that they do not overlap.
func (im *Image) finish() error {
	slices.SortStableFunc(im.regions, func(a, b region) int { return int(max(-1, min(1, a.start()-b.start()))) })
	var all []extent.Extent
	for _, r := range im.regions {
		all = append(all, r.extents...)
	}
	if _, err := extent.New(all); err != nil {
		return fmt.Errorf("%s: its parts overlap: %w", im.Name, err)
	}
	im.extents = extent.Coalesce(all)
	if n := len(im.extents); n > 0 && im.extents[n-1].End() > im.Size {
		return fmt.Errorf("%s has %d bytes, and something in it ends at %d", im.Name, im.Size, im.extents[n-1].End())
	}
	return nil
}

// Extents are what is known of the disk: ascending, maximal runs at disk offsets.
func (im *Image) Extents() []extent.Extent { return slices.Clone(im.extents) }
