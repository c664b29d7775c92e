// SPDX-License-Identifier: GPL-2.0-or-later

package partclone_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ezio/lib/extent"
	"ezio/lib/partclone"
	"ezio/lib/partclone/fstest"
)

func TestMain(m *testing.M) { fstest.Main(m) }

// image runs partclone's clone of a filesystem and reads it.
func image(t *testing.T, program, source string, args ...string) (*partclone.Reader, []byte) {
	t.Helper()
	out := fstest.Run(t, program, append([]string{"-c", "-q", "-f", "0", "-L", "/dev/null", "-s", source, "-o", "-"}, args...)...)
	p, err := partclone.NewReader(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, p); err != nil {
		t.Fatal(err)
	}
	return p, sum.Sum(nil)
}

func sumOf(t *testing.T, path string, list []extent.Extent) []byte {
	t.Helper()
	m, err := extent.New(list)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(extent.Image{Map: m, Disk: f}, 0, m.Size())); err != nil {
		t.Fatal(err)
	}
	return sum.Sum(nil)
}

// For every filesystem: blkid names it, the table knows its program, and its domain map and its
// image, from the file and from a loop device, agree on the used blocks and their bytes.
func TestUsedBlocks(t *testing.T) {
	for _, k := range fstest.Kinds {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel() // partclone sleeps more than it works
			path := k.Make(t)
			ctx := t.Context()
			probe, err := partclone.Detect(ctx, path)
			if err != nil || probe.Type != k.Type {
				t.Fatalf("detected %+v, %v", probe, err)
			}
			program, ok := partclone.ProgramFor(probe.Type)
			if !ok {
				t.Fatalf("no program for %s", probe.Type)
			}
			p, sum := image(t, k.Program, path)
			for _, source := range []string{path, fstest.Loop(t, path)} {
				u, err := partclone.UsedBlocks(ctx, program, source)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(u.Extents, p.Extents()) {
					t.Errorf("%s: the domain map has %d extents, the image %d", source, len(u.Extents), len(p.Extents()))
				}
				if u.BlockSize != p.BlockSize || u.Filesystem != p.Filesystem || u.Size != p.Blocks*p.BlockSize {
					t.Errorf("%s: %s of %d bytes in blocks of %d; the image says %+v", source, u.Filesystem, u.Size, u.BlockSize, p.Header)
				}
			}
			if !bytes.Equal(sum, sumOf(t, path, p.Extents())) {
				t.Error("the image's blocks differ from the filesystem's")
			}
		})
	}
}

// Every way in which partclone can be told to write checksums.
func TestChecksumOptions(t *testing.T) {
	path := fstest.Named(t, "ext4-1k").Make(t)
	_, want := image(t, "partclone.extfs", path)
	for _, args := range [][]string{
		{"-a", "0"}, {"-k", "1"}, {"-k", "7"}, {"-k", "100000000"}, {"-k", "7", "-K"}, {"-K"}, {"-z", "3000"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			if _, got := image(t, "partclone.extfs", path, args...); !bytes.Equal(got, want) {
				t.Error("the blocks differ")
			}
		})
	}
}

func TestUsedBlocksRefused(t *testing.T) {
	ctx := t.Context()
	ext, _ := partclone.ProgramFor("ext4")
	garbage := filepath.Join(t.TempDir(), "-s") // a name that must not be taken for an option
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage."), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for fsType, want := range map[string]string{
		"ext4": "Couldn't find valid filesystem superblock", "minix": "bad magic number in super-block",
		"btrfs": "Couldn't open file system", "xfs": "partclone.xfs: ", "hfsplus": "incorrect signature",
		"exfat": "exfat open fail", "ntfs": "NOT NTFS partition",
	} {
		t.Run(fsType, func(t *testing.T) {
			t.Parallel() // partclone sleeps 3 s before it fails
			p, _ := partclone.ProgramFor(fsType)
			_, err := partclone.UsedBlocks(t.Context(), p, garbage)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "please check") {
				t.Errorf("error %v, want one with %q", err, want)
			}
		})
	}
	if probe, err := partclone.Detect(ctx, garbage); err != nil || probe != (partclone.Probe{}) {
		t.Errorf("garbage detected as %+v, %v", probe, err)
	}

	dev := fstest.Loop(t, fstest.Named(t, "ext4-4k").Make(t))
	mnt := fstest.Mount(t, "ext4", dev)
	if _, err := partclone.UsedBlocks(ctx, ext, dev); err == nil || !strings.Contains(err.Error(), "is mounted at") {
		t.Errorf("mounted: %v", err)
	}
	mnt.Now()
	if _, err := partclone.UsedBlocks(ctx, ext, dev); err != nil {
		t.Errorf("unmounted: %v", err)
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := partclone.UsedBlocks(cancelled, ext, dev); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := partclone.Detect(cancelled, dev); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// fakes makes programs of shell scripts and puts them first on PATH.
func fakes(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// A program that fails after writing a whole map, one that exits 0 after half of one, one that
// talks without end, and one that would run for ever.
func TestStrangePrograms(t *testing.T) {
	const whole = `printf '0x400 ?\n0x0 0x400 +\n'` + "\n"
	jfs, _ := partclone.ProgramFor("jfs")
	run := func(script string) error {
		fakes(t, map[string]string{"partclone.jfs": script})
		_, err := partclone.UsedBlocks(t.Context(), jfs, "/dev/null")
		return err
	}
	if err := run(whole + "exit 0"); err != nil {
		t.Error(err)
	}
	for script, want := range map[string]string{
		whole + "echo it is dirty. >&2; exit 1":                           "partclone.jfs: exit status 1: it is dirty",
		`printf '0x400 ?\n0x0 0x100 +\n'`:                                 "ends at 0x100",
		"echo hello; head -c 9000000 /dev/zero; exit 0":                   "domain map line 1",
		"head -c 9000000 /dev/zero | tr '\\0' x >&2; exit 3":              "exit status 3: xxx",
		whole + "kill -9 $$":                                              "signal: killed",
		`printf '%s\n' a b c d e >&2; exit 1`:                             "exit status 1: c; d; e",
		`printf 'Block size: 999999999999999999999 Byte\n' >&2; ` + whole: "",
	} {
		err := run(script)
		if want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%s: error %.100v, want one with %q", script, err, want)
		}
	}

	fakes(t, map[string]string{"partclone.jfs": "echo started >\"$0.ran\"; exec sleep 1000"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := partclone.UsedBlocks(ctx, jfs, "/dev/null"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("endless: %v", err)
	}
}

func TestPrograms(t *testing.T) {
	for _, tt := range []struct{ fsType, filesystem, command string }{
		{"ext2", "EXTFS", "partclone.extfs"}, {"EXTFS", "EXTFS", "partclone.extfs"}, {"hfsplus", "HFS Plus", "partclone.hfsplus"},
		{"HFS plus", "HFS Plus", "partclone.hfsplus"}, {"VMFS", "VMFS", "partclone.vmfs"}, {"nilfs2", "NILFS", "partclone.nilfs2"},
	} {
		p, ok := partclone.ProgramFor(tt.fsType)
		if !ok || p.Filesystem != tt.filesystem || p.Commands[0] != tt.command {
			t.Errorf("%s: %+v", tt.fsType, p)
		}
	}
	for _, other := range []string{"", "swap", "crypto_LUKS", "LVM2_member", "hfs", "BitLocker"} {
		if p, ok := partclone.ProgramFor(other); ok {
			t.Errorf("%q: %+v", other, p)
		}
	}
	t.Setenv("PATH", "/nonexistent")
	xfs, _ := partclone.ProgramFor("xfs")
	if path, err := xfs.Find(); err != nil || !strings.HasSuffix(path, "sbin/partclone.xfs") {
		t.Errorf("with an empty PATH: %q, %v", path, err)
	}
	missing := partclone.Program{Commands: []string{"partclone.nothing"}}
	if _, err := partclone.UsedBlocks(t.Context(), missing, "/dev/null"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing program: %v", err)
	}
}

// blkid's exit code 8: two filesystems on one device. Neither may be believed.
func TestAmbivalent(t *testing.T) {
	path := fstest.Named(t, "ext4-4k").Make(t)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	xfs := make([]byte, 512)
	other := filepath.Join(t.TempDir(), "xfs.img")
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Truncate(other, fstest.Size)); err != nil {
		t.Fatal(err)
	}
	fstest.Run(t, "mkfs.xfs", "-q", "-f", other)
	g, err := os.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.ReadAt(xfs, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(xfs, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if probe, err := partclone.Detect(t.Context(), path); err == nil || !strings.Contains(err.Error(), "more than one filesystem") {
		t.Errorf("detected %+v, %v", probe, err)
	}
}
