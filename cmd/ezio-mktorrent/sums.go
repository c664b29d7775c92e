// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"

	"ezio/lib/btinfo"
	"ezio/lib/cli"
	"ezio/lib/extent"
	"ezio/lib/hasher"
	"ezio/lib/piece"
	"ezio/lib/progress"
	"ezio/lib/store"
)

// sums sees to it that info has a sum for every piece of the length asked for: those it came with,
// or new ones from the source. A source that contradicts the sums of its own capture is an error.
func sums(c *cli.Call, r *progress.Reporter, info *btinfo.Info) error {
	length, path := c.SizeOf("piece-length"), c.String("source")
	err := info.Check()
	switch {
	case err != nil && !errors.Is(err, btinfo.ErrNoHashes):
		return fmt.Errorf("torrent.info: %w", err)
	case path == "" && length != 0 && length != info.PieceLength:
		return cli.Usagef("cutting pieces of %d bytes instead of %d needs the data", length, info.PieceLength).
			WithHint("name the device or image with --source")
	case path == "" && err != nil:
		return cli.Failf("torrent.info: %w", err).WithHint("name the device or image to hash with --source")
	case path == "":
		return nil
	}
	old, oldLength := info.Pieces, info.PieceLength
	if length != 0 {
		info.PieceLength = length
	}
	if info.Pieces, err = hash(c, r, info, path); err != nil {
		return err
	}
	if len(old) > 0 && oldLength == info.PieceLength {
		for i := range old {
			if old[i] != info.Pieces[i] {
				return &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s does not match torrent.info: piece %d differs", path, i)}
			}
		}
	}
	return nil
}

func hash(c *cli.Call, r *progress.Reporter, info *btinfo.Info, path string) ([]piece.Hash, error) {
	m, err := info.Map()
	if err != nil {
		return nil, fmt.Errorf("torrent.info: %w", err)
	}
	src, err := store.OpenSource(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if src.Size() < m.End() {
		return nil, cli.Refusef("refuse %s: it has %d bytes, the last extent ends at %d", path, src.Size(), m.End())
	}
	layout := piece.Layout{Length: info.PieceLength, Size: m.Size()}
	if layout.Count() > piece.MaxCount {
		return nil, cli.Usagef("pieces of %d bytes would be more than %d", info.PieceLength, piece.MaxCount)
	}
	count := &cli.Counter{Total: layout.Size}
	r.Start("hashing", count.Sample, nil)
	defer r.Stop()
	sums := make([]piece.Hash, layout.Count())
	err = hasher.Each(c.Context.Context, extent.Image{Map: m, Disk: src, Path: path}, layout, nil, hasher.Options{}, func(res hasher.Result) error {
		if res.Err != nil {
			return res.Err
		}
		sums[res.Index] = res.Sum
		count.Add(res.Bytes)
		return nil
	})
	return sums, err
}
