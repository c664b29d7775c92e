// SPDX-License-Identifier: GPL-2.0-or-later

package blockmap

import (
	"encoding/binary"
	"io"

	"ezio/lib/extent"
)

// Outside is what a filesystem, by partclone's name of it, keeps outside of all the blocks that its
// maps, and so partclone's, know of, on a device of size bytes: backups by which it is repaired. An
// error means that it could not be read. The ranges ascend and lie within the device; they may touch
// each other and blocks that are in the map.
func Outside(disk io.ReaderAt, filesystem string, size int64) ([]extent.Extent, error) {
	switch filesystem {
	case "NTFS":
		return ntfsBackup(disk, size)
	case "NILFS":
		// NILFS_SB2_OFFSET_BYTES (linux include/uapi/linux/nilfs2_ondisk.h), behind the last segment.
		if at := (size>>12 - 1) << 12; at > 0 {
			return []extent.Extent{{Offset: at, Length: size - at}}, nil
		}
	}
	return nil, nil
}

// ntfsBackup is the backup of the boot sector: the sector behind the number of sectors that the boot
// sector gives, which is the partition's last one unless the partition was enlarged. Windows looks
// there, and in the last one.
func ntfsBackup(disk io.ReaderAt, size int64) ([]extent.Extent, error) {
	b, err := read(disk, 0, 512)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	sector, sectors := int64(le.Uint16(b[11:])), le.Uint64(b[40:])
	if string(b[3:11]) != "NTFS    " || sector < 256 || sector&(sector-1) != 0 || sectors >= uint64(size/sector) {
		return nil, nil
	}
	list := []extent.Extent{{Offset: int64(sectors) * sector, Length: sector}}
	if last := (size/sector - 1) * sector; last > list[0].Offset {
		list = append(list, extent.Extent{Offset: last, Length: sector})
	}
	return list, nil
}
