// SPDX-License-Identifier: GPL-2.0-or-later

package lvm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"ezio/lib/extent"
)

// Where pvcreate puts things (lvm2 lib/label/label.h, lib/format_text/layout.h): the label in the second
// sector, the area of metadata from the first page up to the first extent.
const (
	labelAt    = sector
	areaAt     = 4096
	areaHeader = 512
	areaMagic  = " LVM2 x[5A%r0N*>"
	areaField  = 40 // offset of the table of texts in the area's header
	labelSum   = 20 // offset of what the label's sum is of
)

// sum is LVM's CRC32: that of everybody else, begun with another word and not inverted.
func sum(b []byte) uint32 {
	const initial = 0xf597a6cf
	return ^crc32.Update(^uint32(initial), crc32.IEEETable, b)
}

// Metadata is what makes a device the physical volume of that name: its label, and the text of the group,
// at offsets on the device.
func (g *Group) Metadata(name string) ([]extent.Patch, error) {
	for _, pv := range g.Physical {
		if pv.Name == name {
			area, err := g.area(pv)
			if err != nil {
				return nil, fmt.Errorf("physical volume %s: %w", name, err)
			}
			return []extent.Patch{{Data: label(pv)}, {Offset: areaAt, Data: area}}, nil
		}
	}
	return nil, fmt.Errorf("there is no physical volume %s in %s", name, g.Name)
}

// label is the first four sectors, with struct label_header, pv_header and pv_header_extension in the
// second one. The others are zeros, as pvcreate leaves them.
func label(pv Physical) []byte {
	all := make([]byte, 4*sector)
	b := all[labelAt:][:sector]
	le := binary.LittleEndian
	copy(b, "LABELONE")
	le.PutUint64(b[8:], labelAt/sector)
	le.PutUint32(b[20:], 32) // offset of what follows
	copy(b[24:], "LVM2 001")
	copy(b[32:], rawID(pv.ID))
	le.PutUint64(b[64:], uint64(pv.Size))
	le.PutUint64(b[72:], uint64(pv.data)) // the data's area: offset, and 0 for the rest of the device
	le.PutUint64(b[104:], areaAt)         // behind an empty entry the metadata's
	le.PutUint64(b[112:], uint64(pv.data-areaAt))
	le.PutUint32(b[136:], 2) // behind an empty entry the extension's version
	le.PutUint32(b[140:], 1) // PV_EXT_USED
	le.PutUint32(b[16:], sum(b[labelSum:]))
	return all
}

// area is struct mda_header and the text behind it, in full sectors.
func (g *Group) area(pv Physical) ([]byte, error) {
	text := append(append(append([]byte{}, g.text...), '\n'), g.rest...)
	text = append(text, 0)
	n := areaHeader + (len(text)+sector-1)/sector*sector
	if int64(areaAt+n) > pv.data {
		return nil, fmt.Errorf("%d bytes of metadata do not fit before its first extent at %d", len(text), pv.data)
	}
	b := make([]byte, n)
	le := binary.LittleEndian
	copy(b[4:], areaMagic)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], areaAt)
	le.PutUint64(b[32:], uint64(pv.data-areaAt))
	le.PutUint64(b[areaField:], areaHeader)
	le.PutUint64(b[areaField+8:], uint64(len(text)))
	le.PutUint32(b[areaField+16:], sum(text))
	copy(b[areaHeader:], text)
	le.PutUint32(b, sum(b[4:areaHeader]))
	return b, nil
}
