// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
)

// Reader gives the bytes of Extents, in order. Archives are unpacked one after the other, and each
// to its very end: io.EOF says that every checksum in them was right.
func (im *Image) Reader(ctx context.Context) io.ReadCloser {
	return &reader{ctx: ctx, left: im.regions}
}

type reader struct {
	ctx  context.Context
	left []region // the first is the one being read, if in is not nil
	in   io.Reader
	done io.Closer // of an archive, or nil
	n    int64     // bytes still to come of the first region
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.in == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.in.Read(p)
		r.n -= int64(n)
		if err == nil {
			return n, nil
		}
		if err != io.EOF {
			return n, r.wrap(err)
		}
		if err := r.end(); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// open begins with the next region.
func (r *reader) open() error {
	g := r.left[0]
	r.n = 0
	for _, e := range g.extents {
		r.n += e.Length
	}
	if g.archive == nil {
		r.in = bytes.NewReader(g.data)
		return nil
	}
	b, err := g.archive.blocks(r.ctx, g.size)
	if err != nil {
		return r.wrap(err)
	}
	r.in, r.done = b, b.Closer
	if !slices.Equal(b.extents, g.whole) {
		return r.wrap(fmt.Errorf("it has changed since it was looked at"))
	}
	// A logical volume in pieces is unpacked once for each; the last one reads to the end.
	if _, err := io.CopyN(io.Discard, b, g.skip); err != nil {
		return r.wrap(err)
	}
	if g.part {
		r.in = io.LimitReader(b, r.n)
	}
	return nil
}

// end leaves a region, of which every byte must have come.
func (r *reader) end() error {
	if r.n != 0 {
		return r.wrap(fmt.Errorf("it is %d bytes off its partition's size: %w", -r.n, io.ErrUnexpectedEOF))
	}
	err := r.Close()
	r.left, r.in = r.left[1:], nil
	return err
}

// wrap names the archive.
func (r *reader) wrap(err error) error {
	if a := r.left[0].archive; a != nil && r.ctx.Err() == nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	return err
}

// Close ends what is still being unpacked.
func (r *reader) Close() error {
	c := r.done
	r.done = nil
	if c == nil {
		return nil
	}
	return c.Close()
}
