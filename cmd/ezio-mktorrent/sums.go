// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"

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
	old := &oldSums{layout: piece.Layout{Length: info.PieceLength}, sums: info.Pieces, path: path}
	if length != 0 {
		info.PieceLength = length
	}
	info.Pieces, err = cut(c, r, info, old)
	return err
}

// cut reads the source once, cuts it anew, and compares it with the sums there were.
func cut(c *cli.Call, r *progress.Reporter, info *btinfo.Info, old *oldSums) ([]piece.Hash, error) {
	m, err := info.Map()
	if err != nil {
		return nil, fmt.Errorf("torrent.info: %w", err)
	}
	src, err := store.OpenSource(old.path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if src.Size() < m.End() {
		return nil, cli.Refusef("refuse %s: it has %d bytes, the last extent ends at %d", old.path, src.Size(), m.End())
	}
	layout := piece.Layout{Length: info.PieceLength, Size: m.Size()}
	if layout.Count() > piece.MaxCount {
		return nil, cli.Usagef("pieces of %d bytes would be more than %d", info.PieceLength, piece.MaxCount)
	}
	count := &cli.Counter{Total: layout.Size}
	r.Start("hashing", count.Sample, nil)
	defer r.Stop()
	old.layout.Size = m.Size()
	image := io.NewSectionReader(extent.Image{Map: m, Disk: src, Path: old.path}, 0, m.Size())
	var blocks io.Reader = image
	if info.PieceLength != old.layout.Length {
		blocks = io.TeeReader(image, old)
	}
	sums, n, err := hasher.Stream(c.Context.Context, blocks, info.PieceLength, hasher.Options{}, func(done int64) {
		count.Add(done - count.Done())
	})
	if err == nil && n != m.Size() {
		err = fmt.Errorf("read %d bytes of %s, want %d: %w", n, old.path, m.Size(), io.ErrUnexpectedEOF)
	}
	if info.PieceLength == old.layout.Length && err == nil {
		for i, want := range old.sums {
			if sums[i] != want {
				return nil, old.differ(i)
			}
		}
	}
	return sums, err
}

// oldSums compares image space, as it is written to it, with the sums of torrent.info, in pieces of
// the old length. Without sums it lets everything pass.
type oldSums struct {
	layout piece.Layout
	sums   []piece.Hash
	path   string

	index int
	got   hash.Hash
	n     int64 // bytes of the piece so far
}

// Write fails with the first piece that differs: the source has changed since it was captured, or it
// is another one.
func (o *oldSums) Write(p []byte) (int, error) {
	done := 0
	for o.index < len(o.sums) && done < len(p) {
		if o.got == nil {
			o.got = sha1.New()
		}
		_, length := o.layout.Span(o.index)
		part := p[done : done+int(min(int64(len(p)-done), length-o.n))]
		o.got.Write(part) // never fails
		done += len(part)
		if o.n += int64(len(part)); o.n < length {
			break
		}
		if piece.Hash(o.got.Sum(nil)) != o.sums[o.index] {
			return done, o.differ(o.index)
		}
		o.index, o.n = o.index+1, 0
		o.got.Reset()
	}
	return len(p), nil
}

func (o *oldSums) differ(i int) error {
	return &cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s does not match torrent.info: piece %d differs", o.path, i),
		Hint: "it has changed since it was captured, or it is another one: capture it again"}
}
