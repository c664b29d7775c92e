// SPDX-License-Identifier: GPL-2.0-or-later

// Package btfiles writes and reads a btfiles directory: a disk image as one file for each run of
// bytes, named by its disk offset in 32 hexadecimal digits, with a torrent.info beside them. It is
// what `partclone.X -c -T -o DIR` makes and what any BitTorrent client can seed.
//
// Invariants: a directory a Writer made appears under its name whole and synced, or not at all; a
// Dir gives only bytes that one of its files holds.
package btfiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ezio/lib/btinfo"
	"ezio/lib/disk"
	"ezio/lib/extent"
)

// infoName is the file that describes the others.
const infoName = "torrent.info"

// A Writer makes a btfiles directory from image space, which is written to it in order. It works
// in a directory beside the one wanted, so that a run that fails leaves nothing that looks whole.
// Use it from one goroutine. Close it in any case; what was not committed is then removed.
type Writer struct {
	dir     string // where it will be
	partial string // where it is until then; "" after Commit or Close

	next func() (extent.Extent, bool)
	stop func()
	file *os.File // the one being written, or nil
	left int64    // bytes still to go into file
}

// Create begins the directory dir for the extents of m, one file for each. dir must not exist, or
// be an empty directory: anything else is refused with a *disk.RefusedError. As with partclone only
// its owner may look into it: it holds a whole disk's secrets.
func Create(dir string, m *extent.Map) (*Writer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := refuse(dir); err != nil {
		return nil, err
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".partial-")
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, partial: partial}
	w.next, w.stop = iter.Pull(m.All())
	return w, nil
}

// refuse says why dir cannot be made.
func refuse(dir string) error {
	const hint = "name a directory that does not exist yet"
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTDIR):
		return &disk.RefusedError{Path: dir, Reason: "it is not a directory", Hint: hint, Err: err}
	case err != nil:
		return err
	case len(entries) > 0:
		return &disk.RefusedError{Path: dir, Reason: "it is a directory with files in it", Hint: hint}
	}
	// It will be replaced by a rename, which does not go from one filesystem to another.
	var here, above unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &here), unix.Stat(filepath.Dir(dir), &above)); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if here.Dev != above.Dev {
		return &disk.RefusedError{Path: dir, Reason: "a filesystem is mounted there", Hint: "name a directory in it: " + filepath.Join(dir, "btfiles")}
	}
	return nil
}

// Write takes the next bytes of image space.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if w.left == 0 {
			if err := w.nextFile(); err != nil {
				return done, err
			}
		}
		n, err := w.file.Write(p[done : done+int(min(int64(len(p)-done), w.left))])
		done += n
		w.left -= int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// nextFile closes the file that is complete and begins the next.
func (w *Writer) nextFile() error {
	if err := w.closeFile(); err != nil {
		return err
	}
	e, ok := w.next()
	if !ok {
		return fmt.Errorf("write %s: more bytes than its extents hold", w.dir)
	}
	f, err := os.OpenFile(filepath.Join(w.partial, extent.Name(e.Offset)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.file, w.left = f, e.Length
	return nil
}

func (w *Writer) closeFile() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return f.Close()
}

// Commit adds torrent.info, brings everything to the disk and gives the directory its name. All of
// image space must have been written.
func (w *Writer) Commit(info *btinfo.Info) error {
	if _, more := w.next(); more || w.left > 0 {
		return fmt.Errorf("write %s: %w", w.dir, io.ErrUnexpectedEOF)
	}
	if err := w.closeFile(); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := info.Write(&text); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.partial, infoName), text.Bytes(), 0o600); err != nil {
		return err
	}
	if err := syncAll(w.partial); err != nil {
		return err
	}
	// An empty directory in its place is replaced, one that got files meanwhile is not.
	if err := unix.Rename(w.partial, w.dir); err != nil {
		return &os.LinkError{Op: "rename", Old: w.partial, New: w.dir, Err: err}
	}
	w.partial = ""
	return syncDir(filepath.Dir(w.dir))
}

// Close removes what was not committed.
func (w *Writer) Close() error {
	err := w.closeFile()
	w.stop()
	if w.partial != "" {
		err = errors.Join(err, os.RemoveAll(w.partial))
		w.partial = ""
	}
	return err
}

// syncAll brings the filesystem that dir is on to its disk: one call for what may be a hundred
// thousand files.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
