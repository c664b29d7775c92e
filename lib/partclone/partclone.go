// SPDX-License-Identifier: GPL-2.0-or-later

// Package partclone reads what partclone writes and runs its programs.
//
// It knows partclone's image formats 0001 and 0002 (IMAGE_FORMATS.md and src/partclone.h there),
// the domain map of `partclone.X -D`, and the one table that says which program serves which
// filesystem. All of it comes down to the same thing: the used blocks of a filesystem, as extents.
//
// Images and maps are outside input. Every count and size in them is checked before anything is
// allocated or multiplied, what is allocated grows with the bytes that really arrived, and the
// extents that come out satisfy extent.New and are maximal runs.
package partclone

import (
	"errors"
	"fmt"

	"ezio/lib/extent"
)

// maxRuns is how many separate runs of used blocks an image or map may have (16 bytes each). A
// hostile bitmap reaches it with a mebibyte; a torrent of that many files is past every client.
const maxRuns = 1 << 22

// ErrChecksum is wrapped by a BlockError when the data of an image do not match their checksum.
var ErrChecksum = errors.New("checksum mismatch")

// ErrEmpty is wrapped by the error for an input without a single byte, as of a pipe whose other end
// failed.
var ErrEmpty = errors.New("the input is empty")

// A BlockError says which blocks of an image could not be delivered.
type BlockError struct {
	First, Last int64 // block numbers on the disk; a checksum covers several
	Offset      int64 // disk offset of First, in bytes
	Err         error
}

func (e *BlockError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("block %d (disk offset %#x): %v", e.First, e.Offset, e.Err)
	}
	return fmt.Sprintf("blocks %d to %d (disk offset %#x): %v", e.First, e.Last, e.Offset, e.Err)
}

func (e *BlockError) Unwrap() error { return e.Err }

// runs collects used blocks, given in ascending order, as maximal extents.
type runs struct {
	blockSize int64
	next      int64 // block number that the next call to add begins at
	list      []extent.Extent
}

// add says whether the next n blocks are used.
func (r *runs) add(n int64, used bool) error {
	if used {
		off := r.next * r.blockSize
		if last := len(r.list) - 1; last >= 0 && r.list[last].End() == off {
			r.list[last].Length += n * r.blockSize
		} else {
			if len(r.list) == maxRuns {
				return fmt.Errorf("more than %d separate runs of used blocks", maxRuns)
			}
			r.list = append(r.list, extent.Extent{Offset: off, Length: n * r.blockSize})
		}
	}
	r.next += n
	return nil
}
