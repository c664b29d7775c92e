// SPDX-License-Identifier: GPL-2.0-or-later

package btfiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"ezio/lib/btinfo"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/partclone/fstest"
	"ezio/lib/piece"
)

func TestMain(m *testing.M) { fstest.Main(m) }

var records = []extent.Extent{{Offset: 0, Length: 100}, {Offset: 100, Length: 1}, {Offset: 4096, Length: 5000}, {Offset: 1 << 40, Length: 7}}

func space(t testing.TB, list []extent.Extent) (*extent.Map, []byte) {
	t.Helper()
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, m.Size())
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return m, b
}

func info(list []extent.Extent, b []byte) *btinfo.Info {
	return &btinfo.Info{PieceLength: piece.MinLength, Records: list, Pieces: []piece.Hash{piece.Sum(b)}}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteAndRead(t *testing.T) {
	m, b := space(t, records)
	for _, existing := range []bool{false, true} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "t")
		if existing {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		w, err := Create(dir+"/", m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, iotest.OneByteReader(bytes.NewReader(b))); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(info(records, b)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"00000000000000000000000000000000", "00000000000000000000000000000064",
			"00000000000000000000000000001000", "00000000000000000000010000000000", "torrent.info",
		}
		if got := names(t, dir); !slices.Equal(got, want) || !slices.Equal(names(t, parent), []string{"t"}) {
			t.Errorf("files %v beside %v", got, names(t, parent))
		}
		f, err := os.Open(filepath.Join(dir, "torrent.info"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, err := btinfo.Read(f); err != nil || got.Check() != nil || !slices.Equal(got.Records, records) {
			t.Errorf("torrent.info %+v, %v", got, err)
		}
		readBack(t, dir, m, b)
	}
}

func readBack(t *testing.T, dir string, m *extent.Map, b []byte) {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Size() != m.End() || d.Path() != dir {
		t.Errorf("size %#x, want %#x", d.Size(), m.End())
	}
	r := io.NewSectionReader(extent.Image{Map: m, Disk: d}, 0, m.Size())
	if err := iotest.TestReader(r, b); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever ends a Writer but Commit, nothing is left; nor does Commit accept half an image.
func TestAbandoned(t *testing.T) {
	m, b := space(t, records)
	for _, n := range []int{0, 50, 100, len(b) - 1} {
		parent := t.TempDir()
		w, err := Create(filepath.Join(parent, "t"), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(info(records, b)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: commit: %v", n, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got := names(t, parent); len(got) > 0 {
			t.Errorf("%d bytes: %v is left", n, got)
		}
	}
	w, err := Create(filepath.Join(t.TempDir(), "t"), m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n, err := w.Write(append(bytes.Clone(b), 0)); err == nil || n != len(b) {
		t.Errorf("one byte too many: %d written, %v", n, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	m, _ := space(t, records)
	parent := t.TempDir()
	full, file, mnt := filepath.Join(parent, "full"), filepath.Join(parent, "file"), filepath.Join(parent, "mnt")
	err := errors.Join(os.Mkdir(full, 0o755), os.Mkdir(mnt, 0o755), os.WriteFile(file, nil, 0o600),
		os.WriteFile(filepath.Join(full, "x"), nil, 0o600), unix.Mount("none", mnt, "tmpfs", 0, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(mnt, 0)
	for _, dir := range []string{full, file, mnt} {
		var refused *disk.RefusedError
		if _, err := Create(dir, m); !errors.As(err, &refused) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := Create(filepath.Join(parent, "no", "such"), m); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no parent: %v", err)
	}
	if got := names(t, parent); len(got) != 3 {
		t.Errorf("%v", got)
	}
	// A directory that got files while the image was written is not replaced.
	dir := filepath.Join(parent, "race")
	w, err := Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	_, b := space(t, records)
	_, err = w.Write(b)
	if err := errors.Join(err, os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(info(records, b)); err == nil {
		t.Error("a directory with files in it was replaced")
	}
	if err := w.Close(); err != nil || !slices.Equal(names(t, dir), []string{"x"}) {
		t.Errorf("%v, %v", names(t, dir), err)
	}
}

func mkdir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadAt(t *testing.T) {
	dir := mkdir(t, map[string]string{
		"00000000000000000000000000000002": "cd", "00000000000000000000000000000004": "efgh",
		"a": "klm", "0000000000000000000000000000000D": "", "torrent.info": "x", ".parts": "y",
	})
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want := []extent.Extent{{Offset: 2, Length: 2}, {Offset: 4, Length: 4}, {Offset: 10, Length: 3}}
	if d.Size() != 13 || !slices.Equal(d.Extents(), want) {
		t.Errorf("size %d, extents %v", d.Size(), d.Extents())
	}
	for _, tt := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{2, 6, "cdefgh", nil}, {3, 2, "de", nil}, {5, 1, "f", nil}, {10, 3, "klm", nil}, {2, 0, "", nil},
		{0, 3, "", ErrGap}, {7, 2, "h", ErrGap}, {8, 1, "", ErrGap}, {8, 5, "", ErrGap},
		{11, 5, "lm", io.EOF}, {13, 1, "", io.EOF}, {1 << 62, 1, "", io.EOF},
	} {
		p := make([]byte, tt.n)
		n, err := d.ReadAt(p, tt.off)
		if string(p[:n]) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%d bytes at %d: %q, %v", tt.n, tt.off, p[:n], err)
		}
	}
	if _, err := d.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("no error at a negative offset")
	}
	if err := os.Truncate(filepath.Join(dir, "a"), 1); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(make([]byte, 3), 10); n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that was cut short: %d, %v", n, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"no file in it":              {"torrent.info": "x"},
		"not a btfiles directory":    {"0": "a", "README": "b"},
		"does not fit":               {"f0000000000000000000000000000000": "a"},
		"begins before":              {"0": "abc", "2": "d"},
		"extent 2 (1 bytes at 0x0)":  {"0": "a", "00": "b"},
		"end does not fit 63 bits":   {"7fffffffffffffff": "a"},
		"file name \"0x10\" is not ": {"0x10": "a"},
	} {
		d, err := Open(mkdir(t, files))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q (%v)", err, want, d)
		}
	}
	link := mkdir(t, nil)
	if err := os.Symlink("/etc/passwd", filepath.Join(link, "0")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a symbolic link: %v", err)
	}
	if _, err := Open(filepath.Join(link, "no")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// Far more files than may be open, and many readers; and the same with files so few that several
// readers are at one.
func TestManyFiles(t *testing.T) {
	manyFiles(t, 3*maxOpen, maxOpen)
	manyFiles(t, 4, 1)
}

func manyFiles(t *testing.T, files, limit int) {
	t.Helper()
	dir := t.TempDir()
	for i := range files {
		name := filepath.Join(dir, extent.Name(int64(i)*8))
		if err := os.WriteFile(name, fmt.Appendf(nil, "%08d", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.open.limit = limit
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 2000 {
				i := r.IntN(files - 1)
				p := make([]byte, 16)
				if n, err := d.ReadAt(p, int64(i)*8); n != 16 || err != nil || string(p) != fmt.Sprintf("%08d%08d", i, i+1) {
					t.Errorf("file %d: %q, %v", i, p[:n], err)
					return
				}
			}
		})
	}
	wg.Wait()
	d.open.mu.Lock()
	open, idle := len(d.open.byName), d.open.idle.Len()
	d.open.mu.Unlock()
	if open != idle || open > limit+8 || open == 0 {
		t.Errorf("%d files open, %d of them idle", open, idle)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("no error after Close")
	}
}

// The directory of a real partclone, whose files are of 1 MiB at most, is the filesystem's bytes.
func TestPartcloneDirectory(t *testing.T) {
	image := fstest.Named(t, "ext4-4k").Make(t)
	dir := filepath.Join(t.TempDir(), "t")
	fstest.Run(t, "partclone.extfs", "-c", "-T", "-q", "-f", "0", "-L", "/dev/null", "-s", image, "-o", dir)
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f, err := os.Open(filepath.Join(dir, infoName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := btinfo.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Extents(), in.Records) {
		t.Errorf("%d files, %d records", len(d.Extents()), len(in.Records))
	}
	m, err := in.Map()
	if err != nil {
		t.Fatal(err)
	}
	l := piece.Layout{Length: in.PieceLength, Size: m.Size()}
	for i, want := range in.Pieces {
		off, n := l.Span(i)
		p := make([]byte, n)
		if _, err := (extent.Image{Map: m, Disk: d}).ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		if piece.Sum(p) != want {
			t.Errorf("piece %d differs from partclone's sum", i)
		}
	}
}
