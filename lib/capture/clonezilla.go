// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"context"
	"errors"

	"ezio/lib/btinfo"
	"ezio/lib/clonezilla"
	"ezio/lib/extent"
)

// Clonezilla captures a disk or a partition, by name, from an image directory of Clonezilla's; ""
// is the only one that is in it. A *clonezilla.ChoiceError says that there are several.
func Clonezilla(ctx context.Context, dir, name string, opt Options) (info *btinfo.Info, err error) {
	im, err := clonezilla.Open(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	for _, note := range im.Notes {
		opt.log("%s: %s", dir, note)
	}
	p := &plan{
		extents: im.Extents(), blockSize: im.BlockSize, blocks: im.Size / im.BlockSize,
		deviceSize: im.Size, filesystem: im.Filesystem, table: im.Table,
	}
	if p.filesystem == "" && p.table == "" {
		p.filesystem = raw
	}
	m, err := extent.New(p.extents)
	if err != nil {
		return nil, err
	}
	blocks := im.Reader(ctx)
	defer func() { err = errors.Join(err, blocks.Close()) }()
	return run(ctx, blocks, p, m, opt, func(*btinfo.Info) error { return nil })
}
