// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"io"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/partition"
)

// Grown says whether a disk of size bytes is larger than the one captured, whole and with a GPT, so
// that the table has to be moved to its end.
func Grown(t *metainfo.Torrent, size int64) bool {
	return t.Disk.PartitionTable == partition.GPT && size/t.Disk.BlockSize > t.Disk.DeviceSize/t.Disk.BlockSize
}

// AsCaptured is disk, or if ezio-recv moved a GPT to its end, disk as it was captured: that is what
// the torrent has sums of. moved says which.
func AsCaptured(t *metainfo.Torrent, disk Source) (_ io.ReaderAt, moved bool) {
	if !Grown(t, disk.Size()) {
		return disk, false
	}
	patches, ok := partition.Captured(disk, t.Disk.DeviceSize, disk.Size(), t.Disk.BlockSize)
	if !ok {
		return disk, false
	}
	return &extent.Patched{Disk: disk, Patches: patches}, true
}

// Keep lets the store have the patches, which are read and written from now on, besides what the
// disk has in their place. It is called before anything else.
func (s *Store) Keep(patches []extent.Patch) *extent.Patched {
	p := &extent.Patched{Disk: s.image.Disk, Patches: patches}
	s.image.Disk = p
	return p
}
