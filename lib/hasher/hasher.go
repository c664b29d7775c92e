// SPDX-License-Identifier: GPL-2.0-or-later

// Package hasher computes piece sums on all cores from one sequential read of the source.
//
// One piece is read at a time, in order, so that a spinning disk sees one stream; SHA-1 of different
// pieces runs in parallel, on each core of as many as lib/sha1lanes takes at once; results come back in
// order. Memory is a fixed number of piece buffers, whatever the size of the source.
package hasher

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"ezio/lib/limits"
	"ezio/lib/piece"
	"ezio/lib/sha1lanes"
)

// Options tune a run; the zero value is right for a tool.
type Options struct {
	Workers int   // cores to use; 0 means all
	Memory  int64 // bytes of piece buffers, but two are always allowed; 0 means 128 MiB or less
}

// Result is the outcome for one piece.
type Result struct {
	Index int
	Bytes int64      // how many bytes were hashed
	Sum   piece.Hash // valid when Err is nil
	Err   error      // the source could not be read here
}

// Each hashes the pieces of src, which is read at image offsets, and calls fn for each in
// ascending order, from the calling goroutine. A piece that cannot be read is reported to fn and
// the rest goes on; an error from fn ends the run and is returned. which selects pieces (ascending
// indices); nil means all of them.
func Each(ctx context.Context, src io.ReaderAt, l piece.Layout, which []int, opt Options, fn func(Result) error) error {
	count := l.Count()
	if which != nil {
		count = len(which)
	}
	next := 0
	fill := func(buf []byte) (r Result, more bool) {
		if next == count {
			return r, false
		}
		r.Index = next
		if which != nil {
			r.Index = which[next]
		}
		next++
		off, n := l.Span(r.Index)
		r.Bytes = n
		if got, err := src.ReadAt(buf[:n], off); int64(got) < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			r.Err = err
		}
		return r, true
	}
	return run(ctx, l.Length, min(count, 1<<20), opt, fill, fn)
}

// Stream reads r to its end, cuts it in pieces of length bytes and returns their sums and the
// number of bytes read. progress, if not nil, hears after each piece how many bytes are done.
func Stream(ctx context.Context, r io.Reader, length int64, opt Options, progress func(done int64)) ([]piece.Hash, int64, error) {
	if err := piece.CheckLength(length); err != nil {
		return nil, 0, err
	}
	var sums []piece.Hash
	var total int64
	next, ended := 0, false
	fill := func(buf []byte) (res Result, more bool) {
		if ended {
			return res, false
		}
		n, err := io.ReadFull(r, buf)
		res = Result{Index: next, Bytes: int64(n)}
		next++
		switch {
		case err == io.EOF:
			ended = true
			return res, false
		case err == io.ErrUnexpectedEOF:
			ended = true
		case err != nil:
			ended, res.Err = true, err
		}
		return res, true
	}
	err := run(ctx, length, 1<<20, opt, fill, func(res Result) error {
		if res.Err != nil {
			return res.Err
		}
		if len(sums) >= piece.MaxCount {
			return fmt.Errorf("more than %d pieces of %d bytes", piece.MaxCount, length)
		}
		sums = append(sums, res.Sum)
		total += res.Bytes
		if progress != nil {
			progress(total)
		}
		return nil
	})
	if err != nil {
		return nil, total, err
	}
	return sums, total, nil
}

// share is how many workers a run gets, and how many piece buffers each of them. There is one worker
// more than cores: somebody reads meanwhile.
func (o Options) share(length int64, pieces int) (workers, batch int) {
	memory := o.Memory
	if memory <= 0 {
		memory = min(128<<20, limits.Memory()/8)
	}
	cores := o.Workers
	if cores <= 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	return divide(max(1, min(max(2, int(memory/length)), pieces)), cores, sha1lanes.Width())
}

// divide shares buffers among cores, at most width to each.
func divide(buffers, cores, width int) (workers, batch int) {
	workers = min(cores+1, buffers)
	return workers, min(width, buffers/workers)
}
