// SPDX-License-Identifier: GPL-2.0-or-later

// Package verify compares a disk with its torrent.
package verify

import (
	"context"
	"io"

	"ezio/lib/extent"
	"ezio/lib/hasher"
	"ezio/lib/metainfo"
)

// A Range is a part of a piece that does not match, as it lies on the disk. A piece that spans
// several extents has several ranges; which of them is wrong a hash cannot tell.
type Range struct {
	Piece  int
	Extent extent.Extent
	Err    error // why the piece could not be read; nil if it was read and differs
}

// Result sums a comparison up.
type Result struct {
	BadPieces  int
	BadBytes   int64 // bytes of all bad pieces
	Unreadable error // the first read that failed, nil if all could be read
}

// Disk hashes every piece on the disk, which errors call path, and calls bad for each range of each
// piece that does not match, in order. done hears of every piece's bytes.
func Disk(ctx context.Context, t *metainfo.Torrent, disk io.ReaderAt, path string, bad func(Range) error, done func(bytes int64)) (Result, error) {
	var res Result
	im := extent.Image{Map: t.Map, Disk: disk, Path: path}
	err := hasher.Each(ctx, im, t.Layout, nil, hasher.Options{}, func(r hasher.Result) error {
		done(r.Bytes)
		if r.Err == nil && r.Sum == t.Pieces[r.Index] {
			return nil
		}
		res.BadPieces++
		res.BadBytes += r.Bytes
		if res.Unreadable == nil {
			res.Unreadable = r.Err
		}
		off, n := t.Layout.Span(r.Index)
		for e := range t.Map.Slices(off, n) {
			if err := bad(Range{Piece: r.Index, Extent: e, Err: r.Err}); err != nil {
				return err
			}
		}
		return nil
	})
	return res, err
}
