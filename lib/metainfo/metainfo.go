// SPDX-License-Identifier: GPL-2.0-or-later

// Package metainfo turns a .torrent (BEP 3, version 1) into a Torrent and back.
//
// A disk image's torrent is an ordinary one whose files are disk extents: each path is the disk
// offset in hexadecimal, each length the extent's length. Outside info, where foreign programs
// ignore it, a root dict `ezio` says what a receiver should know of the disk.
//
// A Torrent that Parse returns holds every promise the rest of EZIO relies on: extents ascend
// without overlap, one sum for each piece, a sane piece length, a device large enough for its
// extents. What Parse refuses has touched nothing but memory, and at most a small multiple of
// the input's size of that.
package metainfo

import (
	"fmt"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// MaxSize is the largest .torrent read, in bytes: a million extents and as many pieces fit.
const MaxSize = 128 << 20

// InfoHash identifies a torrent: the SHA-1 of its info dict.
type InfoHash [20]byte

func (h InfoHash) String() string { return fmt.Sprintf("%x", h[:]) }

// Disk is what the root dict `ezio` tells about the captured disk. Zero values mean unknown.
type Disk struct {
	DeviceSize int64  // bytes
	BlockSize  int64  // bytes
	Filesystem string // partclone's name of it, such as EXTFS
	Source     string // the device or file captured

	// PartitionTable is gpt or dos for a whole disk captured by its partition table, and BlockSize
	// then is the size of its logical sectors.
	PartitionTable string
}

// A Torrent describes one disk image. It is immutable.
type Torrent struct {
	InfoHash  InfoHash
	Name      string
	Private   bool         // BEP 27
	Layout    piece.Layout // image space, cut
	Pieces    []piece.Hash
	Extents   []extent.Extent // as listed, empty ones included
	Map       *extent.Map
	Trackers  [][]string // tiers of announce URLs (BEP 12)
	CreatedBy string
	Comment   string
	Disk      Disk
	Report    string // URL at which its seed takes reports from receivers; "": nowhere

	root map[string][]byte // the root dict's values, still bencoded
}

// NeedSize is the smallest target in bytes that can hold the image: the captured device's size
// where the torrent says it, else the end of the last extent.
func (t *Torrent) NeedSize() int64 { return max(t.Disk.DeviceSize, t.Map.End()) }

// Alignment is the largest power of two, up to 1 MiB, that divides every extent's offset and
// length. A device whose logical sector is larger cannot take the image.
func (t *Torrent) Alignment() int64 {
	var or int64 = 1 << 20
	for e := range t.Map.All() {
		or |= e.Offset | e.Length
	}
	return or & -or
}

// InfoBytes is the info dict as it was read, of which InfoHash is the hash. It must not be changed.
func (t *Torrent) InfoBytes() []byte { return t.root["info"] }
