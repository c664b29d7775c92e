// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ezio/lib/btfiles"
	"ezio/lib/btinfo"
	"ezio/lib/disk"
	"ezio/lib/extent"
)

// A sink takes image space as it passes. Nothing of it is to be seen before Commit; Close removes
// what was not committed.
type sink interface {
	io.Writer
	Commit(*btinfo.Info) error
	Close() error
}

// sinks are those that were asked for, maybe none.
type sinks []sink

func openSinks(p *plan, m *extent.Map, opt Options) (sinks, error) {
	var all sinks
	if opt.Dir != "" {
		w, err := btfiles.Create(opt.Dir, m)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	if opt.Image != "" {
		w, err := createImage(opt.Image, p.deviceSize, m)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, w)
	}
	return all, nil
}

// tee is r, every byte of which goes to the sinks too.
func (s sinks) tee(r io.Reader) io.Reader {
	for _, w := range s {
		r = io.TeeReader(r, w)
	}
	return r
}

func (s sinks) Commit(info *btinfo.Info) error {
	for _, w := range s {
		if err := w.Commit(info); err != nil {
			return err
		}
	}
	return nil
}

func (s sinks) Close() error {
	var err error
	for _, w := range s {
		err = errors.Join(err, w.Close())
	}
	return err
}

// An imageFile writes a sparse raw image of the device. It has another name until it is whole.
type imageFile struct {
	path string // where it will be
	f    *os.File
	done bool

	next func() (extent.Extent, bool)
	stop func()
	at   extent.Extent // what is left of the extent being written
}

// createImage begins the raw image of a device of size bytes that has the extents of m. There must
// be nothing of that name yet.
func createImage(path string, size int64, m *extent.Map) (*imageFile, error) {
	const hint = "name a file that does not exist yet; ezio-recv is what writes to devices"
	if _, err := os.Lstat(path); err == nil {
		return nil, &disk.RefusedError{Path: path, Reason: "it exists already", Hint: hint}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-")
	if err != nil {
		return nil, err
	}
	w := &imageFile{path: path, f: f}
	w.next, w.stop = iter.Pull(m.All())
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("make %s %d bytes long: %w", path, size, err), w.Close())
	}
	return w, nil
}

// Write takes the next bytes of image space and puts them at their disk offsets.
func (w *imageFile) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if w.at.Length == 0 {
			e, ok := w.next()
			if !ok {
				return done, fmt.Errorf("write %s: more bytes than its extents hold", w.path)
			}
			w.at = e
		}
		n, err := w.f.WriteAt(p[done:done+int(min(int64(len(p)-done), w.at.Length))], w.at.Offset)
		done += n
		w.at.Offset += int64(n)
		w.at.Length -= int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Commit syncs the image and gives it its name, unless something else has got it meanwhile.
func (w *imageFile) Commit(*btinfo.Info) error {
	if err := w.f.Sync(); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, w.f.Name(), unix.AT_FDCWD, w.path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // not every filesystem can refuse to replace
		err = os.Link(w.f.Name(), w.path)
		if err == nil {
			err = os.Remove(w.f.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("name %s: %w", w.path, err)
	}
	w.done = true
	dir, err := os.Open(filepath.Dir(w.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (w *imageFile) Close() error {
	w.stop()
	err := w.f.Close()
	if !w.done {
		err = errors.Join(err, os.Remove(w.f.Name()))
	}
	return err
}
