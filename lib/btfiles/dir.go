// SPDX-License-Identifier: GPL-2.0-or-later

package btfiles

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"

	"ezio/lib/extent"
)

// ErrGap is wrapped by the error for a disk offset that no file holds.
var ErrGap = errors.New("no file holds it")

// A Dir is a btfiles directory as the disk it was taken from: ReadAt takes disk offsets. The files
// may be cut in any way, such as partclone's of 1 MiB. Any number of goroutines may use it.
type Dir struct {
	path  string
	files []extent.Extent  // ascending, none empty
	odd   map[int64]string // names of files, by offset, that extent.Name would spell differently
	open  *openFiles
}

// Open lists and checks a directory. Beside torrent.info and hidden files every entry must be a
// regular file named by a hexadecimal offset, and no two may overlap.
func Open(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, odd: map[int64]string{}}
	d.open = newOpenFiles(root)
	if err := d.list(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

// list fills d.files.
func (d *Dir) list(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if err := d.add(root, e); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(d.files, func(a, b extent.Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	m, err := extent.New(d.files)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", d.path, err)
	case m.Len() == 0:
		return fmt.Errorf("%s: no file in it is named by a disk offset", d.path)
	}
	return nil
}

func (d *Dir) add(root *os.Root, e os.DirEntry) error {
	name := e.Name()
	if name == infoName || name[0] == '.' {
		return nil
	}
	off, err := extent.ParseHex(name)
	if err != nil {
		return fmt.Errorf("%s: not a btfiles directory: file name %w", d.path, err)
	}
	st, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s/%s: not a regular file", d.path, name)
	}
	if st.Size() == 0 {
		return nil
	}
	if name != extent.Name(off) {
		d.odd[off] = name
	}
	d.files = append(d.files, extent.Extent{Offset: off, Length: st.Size()})
	return nil
}

// Path is the directory's path as it was given to Open.
func (d *Dir) Path() string { return d.path }

// Size is the disk offset just past the last file's last byte.
func (d *Dir) Size() int64 { return d.files[len(d.files)-1].End() }

// Extents are the files, in order: the disk ranges that can be read.
func (d *Dir) Extents() []extent.Extent { return slices.Clone(d.files) }

// ReadAt fills p from disk offset off. Beyond Size it returns io.EOF; where no file holds the
// bytes, an error that wraps ErrGap.
func (d *Dir) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%s: read at negative offset %d", d.path, off)
	}
	i := sort.Search(len(d.files), func(i int) bool { return d.files[i].End() > off })
	done := 0
	for ; done < len(p); i++ {
		at := off + int64(done)
		if i == len(d.files) {
			return done, io.EOF
		}
		f := d.files[i]
		if at < f.Offset {
			return done, fmt.Errorf("%s: disk offset %#x: %w", d.path, at, ErrGap)
		}
		n, err := d.readFile(f, p[done:done+int(min(int64(len(p)-done), f.End()-at))], at-f.Offset)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readFile fills p from one file, at an offset in that file.
func (d *Dir) readFile(e extent.Extent, p []byte, off int64) (int, error) {
	name, ok := d.odd[e.Offset]
	if !ok {
		name = extent.Name(e.Offset)
	}
	f, err := d.open.get(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d.path, err)
	}
	defer d.open.put(f)
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err == io.EOF { // it was longer when it was listed
		err = fmt.Errorf("%s/%s: %w", d.path, name, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Close closes the directory and its files. No ReadAt may be under way.
func (d *Dir) Close() error { return d.open.close() }
