// SPDX-License-Identifier: GPL-2.0-or-later

// Package capture turns a source, a device, an image of one or a partclone image, into what
// ezio-mktorrent needs: the used blocks as extents and the sums of their pieces.
//
// A capture reads the source once, from its beginning to its end, and can write what it reads as
// a btfiles directory and as a raw image while it passes. Where it cannot tell used blocks from
// free ones it takes them all: a capture may be larger than it had to be, never smaller.
//
// Invariants: an Info is returned only when every byte it speaks of was read without error and,
// of a partclone image, matched its checksums (but for Options.Rescue, which says so by its error); a
// failed capture leaves no directory and no image.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ezio/lib/btinfo"
	"ezio/lib/capture/blockmap"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/hasher"
	"ezio/lib/partclone"
	"ezio/lib/piece"
)

// Options of a capture. The zero value is right for most.
type Options struct {
	PieceLength int64  // bytes; 0 chooses one by the number of used bytes
	Raw         bool   // Source: take every block, without looking for a filesystem
	Filesystem  string // Source: what the source holds, by blkid's or partclone's name; "" finds out
	Force       bool   // Source: go on although it is mounted read-write or written to
	Rescue      bool   // Source: go on, with zeros, where it cannot be read

	Dir   string // also write a btfiles directory of this name; "" does not
	Image string // also write a sparse raw image of this name; "" does not

	Log      func(format string, args ...any) // hears a line for people; nil drops it
	Progress func(done, total int64)          // bytes hashed, first with done 0; nil is fine
}

// A plan is what is to be captured, known before the first block is read.
type plan struct {
	extents    []extent.Extent // maximal runs
	blockSize  int64           // bytes; 0 when there is no such thing
	blocks     int64           // of the filesystem, used or not
	deviceSize int64           // bytes
	filesystem string          // partclone's name, "raw" for every block
	table      string          // of a whole disk, the kind of its partition table
}

// Source captures a block device, a raw image of one, or a partclone image in a file. It refuses, with a *disk.RefusedError, one that
// is mounted read-write, since its blocks may change while they are read. With Options.Rescue there
// may be an Info and a *LossError: everything was written, and is not what was on the source.
func Source(ctx context.Context, path string, opt Options) (*btinfo.Info, error) {
	src, err := disk.OpenSource(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if err := checkQuiet(path, opt); err != nil {
		return nil, err
	}
	if isImage(src) && !opt.Raw && opt.Filesystem == "" {
		return Image(ctx, io.NewSectionReader(src, 0, src.Size()), opt)
	}
	mark := src.Mark()
	p, err := planSource(ctx, src, opt)
	if err != nil {
		return nil, err
	}
	m, err := extent.New(p.extents)
	if err != nil {
		return nil, err
	}
	image := extent.Image{Map: m, Disk: src, Path: path}
	last := func(info *btinfo.Info) error {
		info.Source = path
		if err := checkQuiet(path, opt); err != nil { // it may have been mounted meanwhile
			return err
		}
		return checkUnchanged(src, mark, opt)
	}
	if opt.Rescue {
		return rescue(ctx, image, src, p, opt, last)
	}
	return run(ctx, io.NewSectionReader(image, 0, m.Size()), p, m, opt, last)
}

// isImage says whether a file is a partclone image, of which its own blocks are not what is wanted.
func isImage(src *disk.Source) bool {
	front := make([]byte, 16)
	_, err := src.ReadAt(front, 0)
	return err == nil && !src.IsDevice() && partclone.IsImage(front)
}

// checkQuiet refuses a source whose blocks may change under the capture.
func checkQuiet(path string, opt Options) error {
	where, mounted, err := disk.MountedReadWrite(path)
	switch {
	case err != nil && !opt.Force:
		return &disk.RefusedError{Path: path, Reason: fmt.Sprintf("cannot tell whether it is mounted: %v", err), Hint: "--force captures it nevertheless", Err: err}
	case mounted && !opt.Force:
		return &disk.RefusedError{
			Path: path, Reason: fmt.Sprintf("it is mounted read-write on %s and may change while it is read", where),
			Hint: "unmount it, or remount it read-only; --force captures it nevertheless",
		}
	case mounted:
		opt.log("warning: %s is mounted read-write on %s: what is captured may be inconsistent", path, where)
	}
	return nil
}

// ErrWritten is wrapped by the error for a source that changed under the capture.
var ErrWritten = errors.New("it was written to while it was read")

// checkUnchanged wants that nobody has written to a source since mark.
func checkUnchanged(src *disk.Source, mark disk.Mark, opt Options) error {
	switch {
	case !mark.Changed(src.Mark()):
		return nil
	case !opt.Force:
		return fmt.Errorf("capture %s: %w", src.Path(), ErrWritten)
	}
	opt.log("warning: %s: %v: what is captured may be inconsistent", src.Path(), ErrWritten)
	return nil
}

// Image captures what a partclone image from r holds.
func Image(ctx context.Context, r io.Reader, opt Options) (*btinfo.Info, error) {
	image, err := partclone.NewReader(r)
	if err != nil {
		return nil, err
	}
	if image.Filesystem == "FAT12" {
		opt.log("warning: %v: the image may lack some, capture the source instead", blockmap.ErrFAT12)
	}
	p := &plan{
		extents: image.Extents(), blockSize: image.BlockSize, blocks: image.Blocks,
		deviceSize: image.DeviceSize, filesystem: image.Filesystem,
	}
	m, err := extent.New(p.extents)
	if err != nil {
		return nil, err
	}
	return run(ctx, image, p, m, opt, func(*btinfo.Info) error { return nil })
}

// run hashes the blocks of a plan, writes them to what opt asks for, and when all of them were read
// and last does not object, makes it permanent.
func run(ctx context.Context, blocks io.Reader, p *plan, m *extent.Map, opt Options, last func(*btinfo.Info) error) (info *btinfo.Info, err error) {
	info = &btinfo.Info{
		BlockSize: p.blockSize, BlocksTotal: p.blocks, PieceLength: opt.PieceLength,
		DeviceSize: p.deviceSize, Filesystem: p.filesystem, PartitionTable: p.table, Records: p.extents,
	}
	if info.PieceLength == 0 {
		info.PieceLength = piece.ChooseLength(m.Size())
	}
	if err := checkPieces(info.PieceLength, m.Size()); err != nil {
		return nil, err
	}
	out, err := openSinks(p, m, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()

	opt.progress(0, m.Size())
	var n int64
	info.Pieces, n, err = hasher.Stream(ctx, out.tee(blocks), info.PieceLength, hasher.Options{}, func(done int64) {
		opt.progress(done, m.Size())
	})
	if err != nil {
		return nil, err
	}
	if n != m.Size() {
		return nil, fmt.Errorf("read %d bytes of used blocks, want %d: %w", n, m.Size(), io.ErrUnexpectedEOF)
	}
	if err := errors.Join(last(info), info.Check()); err != nil {
		return nil, err
	}
	return info, out.Commit(info)
}

// checkPieces refuses, before anything is read, what info.Check would refuse at the end.
func checkPieces(length, size int64) error {
	if err := piece.CheckLength(length); err != nil {
		return err
	}
	if size == 0 {
		return errors.New("there is nothing to capture: not one block is used")
	}
	if n := (piece.Layout{Length: length, Size: size}).Count(); n > piece.MaxCount {
		return fmt.Errorf("%d bytes in pieces of %d are more than %d pieces", size, length, piece.MaxCount)
	}
	return nil
}

func (o Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

func (o Options) progress(done, total int64) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}
