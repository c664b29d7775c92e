// SPDX-License-Identifier: GPL-2.0-or-later

// Package btinfo reads and writes torrent.info, the stream between a capture and ezio-mktorrent.
//
// It is lines of `key: value`. partclone (src/torrent_helper.c) writes offset and length records
// and the SHA-1 of every 16 MiB of their concatenation; sha1 lines lag behind the records they
// cover and may fall between an offset and its length, so records and sums are read as
// independent sequences. Three dialects exist and one reader takes them all: partclone 0.3.18
// and later (block_size and blocks_total first), 0.3.12 to 0.3.17 (without them), and a fork of
// 2017 (one record per contiguous run, the first possibly of length 0). We add piece_length,
// device_size, filesystem, partition_table and source. Unknown keys are skipped.
//
// An Info that Check accepts is whole: a stream that was cut short anywhere is not, because the
// last sum is missing.
package btinfo

import (
	"errors"
	"fmt"
	"math"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// Info is the content of one torrent.info.
type Info struct {
	BlockSize   int64  // bytes; 0 when the stream does not say
	BlocksTotal int64  // blocks of BlockSize; 0 when the stream does not say
	PieceLength int64  // bytes; partclone's 16 MiB when the stream does not say
	DeviceSize  int64  // bytes; 0 when the stream does not say
	Filesystem  string // partclone's name of it, such as EXTFS; "" when not said
	Source      string // the device or file captured; "" when not said

	// PartitionTable is gpt or dos for a whole disk captured by its partition table, and BlockSize
	// then is the size of its logical sectors; "" for anything else.
	PartitionTable string

	Records []extent.Extent // as recorded, empty ones included
	Pieces  []piece.Hash
}

// ErrNoHashes is what Check returns for a stream with records and no sha1 line at all. Whoever
// has the source at hand can compute the sums.
var ErrNoHashes = errors.New("no sha1 lines")

// ErrEmpty is returned for a stream without a single record.
var ErrEmpty = errors.New("no offset and length records")

// End is the size in bytes of the device described, 0 when the stream does not say.
func (in *Info) End() int64 {
	switch {
	case in.DeviceSize > 0:
		return in.DeviceSize
	case in.BlockSize > 0 && in.BlocksTotal > 0 && in.BlocksTotal <= math.MaxInt64/in.BlockSize:
		return in.BlockSize * in.BlocksTotal
	}
	return 0
}

// Map checks the records (ascending, no overlap, within the device) and indexes them.
func (in *Info) Map() (*extent.Map, error) {
	if _, err := in.size(); err != nil {
		return nil, err
	}
	return extent.New(in.Records)
}

// size checks the records, and is how many bytes they have.
func (in *Info) size() (int64, error) {
	size, last, err := extent.Check(in.Records)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		return 0, ErrEmpty
	}
	if in.BlockSize > 0 && in.BlocksTotal > math.MaxInt64/in.BlockSize {
		return 0, fmt.Errorf("%d blocks of %d bytes do not fit 63 bits", in.BlocksTotal, in.BlockSize)
	}
	if end := in.End(); end > 0 && last > end {
		return 0, fmt.Errorf("the last extent ends at %#x, beyond the device's end at %#x", last, end)
	}
	return size, nil
}

// Check says whether the stream is whole and consistent: Map accepts the records and there is one
// sum for each piece.
func (in *Info) Check() error {
	size, err := in.size()
	if err != nil {
		return err
	}
	if err := piece.CheckLength(in.PieceLength); err != nil {
		return err
	}
	want := piece.Layout{Length: in.PieceLength, Size: size}.Count()
	switch got := len(in.Pieces); {
	case want > piece.MaxCount:
		return fmt.Errorf("%d bytes in pieces of %d are more than %d pieces", size, in.PieceLength, piece.MaxCount)
	case got == 0:
		return ErrNoHashes
	case got != want:
		return fmt.Errorf("%d sha1 lines, but %d bytes in pieces of %d need %d: the capture is incomplete",
			got, size, in.PieceLength, want)
	}
	return nil
}
