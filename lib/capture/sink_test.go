// SPDX-License-Identifier: GPL-2.0-or-later

package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ezio/lib/btfiles"
	"ezio/lib/btinfo"
	"ezio/lib/disk"
	"ezio/lib/extent"
	"ezio/lib/partclone"
	"ezio/lib/piece"
)

func TestSinks(t *testing.T) {
	source, image := small(t)
	for from, do := range map[string]func(Options) (*btinfo.Info, error){
		"image":  func(o Options) (*btinfo.Info, error) { return Image(t.Context(), bytes.NewReader(image), o) },
		"source": func(o Options) (*btinfo.Info, error) { return Source(t.Context(), source, o) },
	} {
		t.Run(from, func(t *testing.T) {
			parent := t.TempDir()
			opt := Options{Dir: filepath.Join(parent, "t"), Image: filepath.Join(parent, "raw.img")}
			info, err := do(opt)
			if err != nil {
				t.Fatal(err)
			}
			d, err := btfiles.Open(opt.Dir)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			raw, err := os.Open(opt.Image)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if !slices.Equal(d.Extents(), info.Records) {
				t.Errorf("%d files, %d records", len(d.Extents()), len(info.Records))
			}
			m, err := info.Map()
			if err != nil {
				t.Fatal(err)
			}
			for name, disk := range map[string]io.ReaderAt{"directory": d, "raw image": raw} {
				l := piece.Layout{Length: info.PieceLength, Size: m.Size()}
				for i, want := range info.Pieces {
					off, n := l.Span(i)
					p := make([]byte, n)
					if _, err := (extent.Image{Map: m, Disk: disk, Path: name}).ReadAt(p, off); err != nil {
						t.Fatal(err)
					}
					if piece.Sum(p) != want {
						t.Fatalf("%s: piece %d differs", name, i)
					}
				}
			}
			zero := make([]byte, 4096)
			b := make([]byte, 4096)
			if _, err := raw.ReadAt(b, m.End()); err != nil || !bytes.Equal(b, zero) {
				t.Errorf("after the last extent: %v", err)
			}
			if entries, _ := os.ReadDir(parent); len(entries) != 2 {
				t.Errorf("%v", entries)
			}
		})
	}
}

// Whatever goes wrong, at whatever point of the image, there is an error and nothing is left.
func TestFailureLeavesNothing(t *testing.T) {
	_, image := small(t)
	parent := t.TempDir()
	opt := Options{Dir: filepath.Join(parent, "t"), Image: filepath.Join(parent, "raw.img")}
	bad := bytes.Clone(image)
	bad[len(bad)-10]++
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		image []byte
		err   error
	}{
		{"empty", t.Context(), nil, partclone.ErrEmpty},
		{"header only", t.Context(), image[:110], io.ErrUnexpectedEOF},
		{"half", t.Context(), image[:len(image)/2], io.ErrUnexpectedEOF},
		{"one byte short", t.Context(), image[:len(image)-1], io.ErrUnexpectedEOF},
		{"last block corrupt", t.Context(), bad, partclone.ErrChecksum},
		{"cancelled", cancelled, image, context.Canceled},
	} {
		info, err := Image(tt.ctx, bytes.NewReader(tt.image), opt)
		if info != nil || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 0 {
			t.Fatalf("%s: %v is left", tt.name, entries)
		}
	}
	if _, err := Image(t.Context(), bytes.NewReader(append(bytes.Clone(image), 0)), opt); err == nil {
		t.Error("no error with a byte after the image")
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("%v is left", entries)
	}
}

func TestSinksRefused(t *testing.T) {
	_, image := small(t)
	parent := t.TempDir()
	there := filepath.Join(parent, "there")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []Options{
		{Dir: parent}, {Dir: there}, {Image: there}, {Image: parent}, {Image: "/dev/null"},
		{Dir: filepath.Join(parent, "new"), Image: there},
	} {
		var refused *disk.RefusedError
		if _, err := Image(t.Context(), bytes.NewReader(image), opt); !errors.As(err, &refused) || refused.Hint == "" {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if _, err := Image(t.Context(), bytes.NewReader(image), Options{Image: filepath.Join(parent, "no", "x")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	b, err := os.ReadFile(there)
	if entries, _ := os.ReadDir(parent); err != nil || string(b) != "precious" || len(entries) != 1 {
		t.Errorf("%q, %v, %v", b, err, entries)
	}
}

// An image file that appears while we write ours is not replaced.
func TestImageRace(t *testing.T) {
	m, err := extent.New([]extent.Extent{{Offset: 4096, Length: 3}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "raw.img")
	w, err := createImage(path, 8192, m)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("abcd")); n != 3 || err == nil {
		t.Errorf("one byte too many: %d, %v", n, err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("commit: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" || len(entries) != 1 {
		t.Errorf("%q, %v, %v", b, err, entries)
	}
}
