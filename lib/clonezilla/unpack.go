// SPDX-License-Identifier: GPL-2.0-or-later

package clonezilla

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A packing is a way in which Clonezilla compresses. Unpacking is left to the program that packed,
// in a pipe: it is installed where such images are made, it runs beside our hashing on a core of its
// own, and some of these formats have no library in Go worth trusting with a disk.
type packing struct {
	suffix string // Clonezilla's name for it in a file's name
	magic  string // what the compressed stream begins with; "" if that tells nothing
	unpack [][]string
}

// packings names the programs in the order of preference: those that use several cores first.
var packings = []packing{
	{"gz", "\x1f\x8b", [][]string{{"pigz", "-dc"}, {"gzip", "-dc"}}},
	{"zst", "\x28\xb5\x2f\xfd", [][]string{{"zstd", "-dcq", "--long=31"}}},
	{"lz4", "\x04\x22\x4d\x18", [][]string{{"lz4", "-dcq"}}},
	{"xz", "\xfd7zXZ\x00", [][]string{{"xz", "-dcq", "-T0"}}},
	{"bz2", "BZh", [][]string{{"lbzip2", "-dc"}, {"pbzip2", "-dc"}, {"bzip2", "-dc"}}},
	{"lzo", "\x89LZO", [][]string{{"lzop", "-dcq"}}},
	{"lzip", "LZIP", [][]string{{"plzip", "-dc"}, {"lzip", "-dc"}}},
	{"lrz", "LRZI", [][]string{{"lrzip", "-q", "-d", "-o", "-"}}},
	{"lzma", "", [][]string{{"xz", "-dcq", "--format=lzma"}}},
	{"uncomp", "partclone-image", nil},
}

// An archive is the image of one partition: a file, or the slices of one, packed or not.
type archive struct {
	path  string   // of the file, or of the slices without their suffix, for errors
	files []string // in order
	fs    string   // partclone's short name of the filesystem; dd for every sector; "" when unnamed
	pack  packing
}

// imageName takes what follows `sda1.` in the name of a partition's image apart: filesystem,
// packing, slice. Before 2019 nothing was appended for what is not compressed, and the images of
// partclone.dd are named dd-img to this day.
var imageName = regexp.MustCompile(`^(?:([^.]+)-ptcl-img(?:\.(gz|bz2|lzo|lzma|xz|lzip|lrz|lz4|zst|uncomp))?|(dd)-img)(?:\.(a[a-z]+|[b-z][a-z]+))?$`)

// otherImage are the names of what partimage, ntfsclone and Clonezilla before 2010 wrote.
var otherImage = regexp.MustCompile(`^(ntfs-img.*|[^.]+-img.*|aa|000)$`)

// errFormat is wrapped by the error for an image that no partclone wrote.
var errFormat = errors.New("not an image of partclone")

// findArchive finds the image of a partition, a disk or a logical volume in a directory's listing.
// It is nil when there is none.
func findArchive(dir string, names []string, part string) (*archive, error) {
	var a *archive
	var slices []string
	for _, name := range names { // in order, hence slices too
		rest, ok := strings.CutPrefix(name, part+".")
		if !ok || strings.HasSuffix(name, ".info") {
			continue
		}
		f := imageName.FindStringSubmatch(rest)
		if f == nil {
			if otherImage.MatchString(rest) {
				return nil, fmt.Errorf("%s: %w: convert it with Clonezilla, or restore it and capture the disk", filepath.Join(dir, name), errFormat)
			}
			continue
		}
		path := filepath.Join(dir, strings.TrimSuffix(name, "."+f[4]))
		if a != nil && path != a.path {
			return nil, fmt.Errorf("%s and %s are both images of %s", a.path, path, part)
		}
		if a == nil {
			a = &archive{path: path, fs: f[1] + f[3]}
			a.pack, _ = named(f[2])
		}
		a.files = append(a.files, filepath.Join(dir, name))
		slices = append(slices, f[4])
	}
	if a == nil {
		return nil, nil
	}
	if err := consecutive(slices); err != nil {
		return nil, fmt.Errorf("%s: %w", a.path, err)
	}
	if a.pack.suffix == "" {
		return a, a.recognise()
	}
	return a, nil
}

func named(suffix string) (packing, bool) {
	i := slices.IndexFunc(packings, func(p packing) bool { return p.suffix == suffix })
	if i < 0 {
		return packing{}, false
	}
	return packings[i], true
}

// consecutive says whether slices, in the order of their names, are all there as far as one can
// tell: from aa, without a gap. A lacking last one shows when it is unpacked.
func consecutive(slices []string) error {
	for i, got := range slices {
		want := []byte(strings.Repeat("a", len(slices[0])))
		for k, n := len(want)-1, i; k >= 0; k, n = k-1, n/26 {
			want[k] += byte(n % 26)
		}
		if got != string(want) {
			return fmt.Errorf("slice %s is missing, or %s is no part of it", want, got)
		}
	}
	return nil
}

// recognise finds the packing by what the first slice begins with.
func (a *archive) recognise() error {
	f, err := os.Open(a.files[0])
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 16)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read %s: %w", a.files[0], err)
	}
	a.pack, _ = named("uncomp") // of partclone.dd, or what partclone's reader will find fault with
	for _, p := range packings {
		if p.magic != "" && bytes.HasPrefix(b[:n], []byte(p.magic)) {
			a.pack = p
		}
	}
	return nil
}

// open begins to unpack. The reader's io.EOF says that the program, too, found everything right.
func (a *archive) open(ctx context.Context) (io.ReadCloser, error) {
	src := &sliceReader{left: a.files}
	if a.pack.unpack == nil {
		return src, nil
	}
	for _, args := range a.pack.unpack {
		path, err := exec.LookPath(args[0])
		if err == nil {
			return startUnpacker(ctx, path, args[1:], src, a.path)
		}
	}
	last := a.pack.unpack[len(a.pack.unpack)-1][0]
	return nil, fmt.Errorf("unpack %s: %s: %w", a.path, last, exec.ErrNotFound)
}

// A sliceReader reads files one after the other, with one of them open.
type sliceReader struct {
	left []string
	f    *os.File
}

func (s *sliceReader) Read(p []byte) (int, error) {
	for {
		if s.f == nil {
			if len(s.left) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(s.left[0])
			if err != nil {
				return 0, err
			}
			s.f, s.left = f, s.left[1:]
		}
		n, err := s.f.Read(p)
		if err != io.EOF {
			return n, err
		}
		if err := s.Close(); err != nil {
			return n, err
		}
	}
}

func (s *sliceReader) Close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// An unpacker is a program at work, seen from its output.
type unpacker struct {
	ctx    context.Context
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr tail
	src    *sliceReader
	path   string
	ended  error // what Read returns once the program has ended; nil before
}

func startUnpacker(ctx context.Context, program string, args []string, src *sliceReader, path string) (*unpacker, error) {
	u := &unpacker{ctx: ctx, src: src, path: path}
	u.cmd = exec.CommandContext(ctx, program, args...)
	u.cmd.Stdin, u.cmd.Stderr = src, &u.stderr
	u.cmd.WaitDelay = 5 * time.Second
	var err error
	if u.stdout, err = u.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	return u, nil
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.ended != nil {
		return 0, u.ended
	}
	n, err := u.stdout.Read(p)
	if err != nil {
		u.ended = u.wait(err)
		err = u.ended
	}
	return n, err
}

// wait turns the end of the program's output into what it means.
func (u *unpacker) wait(end error) error {
	err := u.cmd.Wait()
	switch {
	case u.ctx.Err() != nil:
		return u.ctx.Err()
	case err != nil && len(u.stderr.b) > 0:
		return fmt.Errorf("unpack %s: %s: %w: %s", u.path, filepath.Base(u.cmd.Path), err, bytes.TrimSpace(u.stderr.b))
	case err != nil:
		return fmt.Errorf("unpack %s: %s: %w", u.path, filepath.Base(u.cmd.Path), err)
	}
	return end
}

// Close ends the program if it still runs, as when only the beginning was wanted.
func (u *unpacker) Close() error {
	if u.ended == nil {
		u.ended = os.ErrClosed
		_ = u.cmd.Process.Kill()
		_ = u.cmd.Wait()
	}
	return u.src.Close()
}

// A tail keeps the end of what a program says, on one line.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	const limit = 300
	t.b = append(t.b, bytes.ReplaceAll(p, []byte("\n"), []byte(" "))...)
	t.b = t.b[max(0, len(t.b)-limit):]
	return len(p), nil
}
