// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"ezio/lib/extent"
	"ezio/lib/partclone"
)

// A region is one source of the disk's bytes: a patch, or the image of a partition.
type region struct {
	extents []extent.Extent // at disk offsets; none empty
	data    []byte          // of a patch
	archive *archive        // of a partition or logical volume

	whole []extent.Extent // what the archive holds, at offsets in the partition
	size  int64           // of the partition, in bytes
	skip  int64           // bytes of the archive that precede this region
	part  bool            // there is more in the archive behind it

	offset     int64 // of the partition
	deviceSize int64 // what the image calls its device's size
	blockSize  int64
	filesystem string
}

func (r region) start() int64 {
	if len(r.extents) == 0 {
		return r.offset
	}
	return r.extents[0].Offset
}

func patchRegion(p patch) region {
	return region{
		extents: []extent.Extent{{Offset: p.offset, Length: int64(len(p.data))}}, data: p.data,
		offset: p.offset, deviceSize: int64(len(p.data)), filesystem: "raw",
	}
}

// content finds what a directory holds of a partition or logical volume; nil if nothing.
func (d *directory) content(ctx context.Context, p partition) (*region, error) {
	if err := d.notThrough(p.name); err != nil {
		return nil, err
	}
	a, err := findArchive(d.path, d.names, p.name)
	switch {
	case err != nil:
		return nil, err
	case a != nil:
		r, err := a.survey(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.path, err)
		}
		return r, nil
	case slices.Contains(d.names, "swappt-"+p.name+".info"):
		return d.swap(p)
	}
	return nil, nil
}

// notThrough refuses partitions that are restored by way of something else.
func (d *directory) notThrough(part string) error {
	b, err := d.read("luks-dev.list", 1<<20)
	if err != nil {
		return err
	}
	for w := range strings.FieldsSeq(string(b)) {
		if strings.HasPrefix(w, "/dev/") && fileName(w) == part {
			return fmt.Errorf("%s: %s is encrypted by LUKS, and Clonezilla saved what is inside: restore the image to a disk and capture that", d.path, part)
		}
	}
	return nil
}

// swap makes a swap partition anew, as Clonezilla does.
func (d *directory) swap(p partition) (*region, error) {
	name := "swappt-" + p.name + ".info"
	b, err := d.read(name, 64<<10)
	if err != nil {
		return nil, err
	}
	uuid, label, err := parseSwap(bytes.NewReader(b))
	if err == nil {
		if b, err = swapHeader(p.size, uuid, label); err == nil {
			r := patchRegion(patch{p.offset, b})
			return &r, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", filepath.Join(d.path, name), err)
}

// survey reads the beginning of a partition's image, for its used blocks.
func (a *archive) survey(ctx context.Context, p partition) (*region, error) {
	blocks, err := a.blocks(ctx, p.size)
	if err != nil {
		return nil, err
	}
	defer blocks.Close()
	if blocks.end > p.size {
		return nil, fmt.Errorf("its last block ends at %d, and %s has %d bytes", blocks.end, p.name, p.size)
	}
	r := &region{
		archive: a, offset: p.offset, whole: blocks.extents, size: p.size,
		deviceSize: blocks.deviceSize, blockSize: blocks.blockSize, filesystem: blocks.filesystem,
	}
	for _, e := range blocks.extents {
		r.extents = append(r.extents, extent.Extent{Offset: p.offset + e.Offset, Length: e.Length})
	}
	return r, nil
}

// A blockReader gives the used blocks of a partition, in order.
type blockReader struct {
	io.Reader
	io.Closer
	extents               []extent.Extent // at offsets in the partition
	end                   int64           // of the last of them
	deviceSize, blockSize int64
	filesystem            string
}

// blocks opens an archive of a partition of size bytes. What Clonezilla calls dd-img is an image of
// partclone.dd, or, in older directories, the partition as it is.
func (a *archive) blocks(ctx context.Context, size int64) (*blockReader, error) {
	src, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	b := &blockReader{Closer: src}
	in := bufio.NewReaderSize(src, 64<<10)
	front, _ := in.Peek(16)
	if a.fs == "dd" && !partclone.IsImage(front) && size < maxDisk {
		b.Reader = in
		b.extents, b.deviceSize, b.blockSize, b.filesystem = []extent.Extent{{Length: size}}, size, minSector, "raw"
		b.end = size
		return b, nil
	}
	p, err := partclone.NewReader(in)
	if err != nil {
		return nil, joinClose(err, src)
	}
	b.Reader, b.extents = p, p.Extents()
	b.deviceSize, b.blockSize, b.filesystem = p.DeviceSize, p.BlockSize, p.Filesystem
	if n := len(b.extents); n > 0 {
		b.end = b.extents[n-1].End()
	}
	return b, nil
}

// joinClose closes what is of no use any more. The first error is the one that matters.
func joinClose(err error, c io.Closer) error {
	_ = c.Close()
	return err
}
