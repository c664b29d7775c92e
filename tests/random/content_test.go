// SPDX-License-Identifier: GPL-2.0-or-later

package random

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ezio/lib/partclone/fstest"
)

// A kind is what a partition can hold.
type kind struct {
	name    string
	min     int64 // bytes
	mkfs    [][]string
	mkfs512 [][]string // further ones, which want sectors of 512 bytes
	inUse   bool       // captured as it is while it is mounted
	driver  string     // to mount it by; "" keeps it empty
	fsck    []string   // "" for what has no checker
	whole   bool       // nothing of it may differ
	first   int64      // bytes that must be the same, where no more need be
}

var kinds = []kind{
	{name: "ext4", min: 8 * mib, driver: "ext4", fsck: []string{"e2fsck", "-fn"}, mkfs: [][]string{
		{"mkfs.ext4", "-q", "-F"}, {"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "bigalloc"},
		{"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^flex_bg,^metadata_csum,meta_bg,^resize_inode"}},
		mkfs512: [][]string{{"mkfs.ext4", "-q", "-F", "-b", "1024"}}},
	{name: "ext2", min: 4 * mib, driver: "ext2", fsck: []string{"e2fsck", "-fn"}, mkfs: [][]string{
		{"mkfs.ext2", "-q", "-F", "-b", "4096"}}, mkfs512: [][]string{{"mkfs.ext2", "-q", "-F", "-b", "1024"}}},
	{name: "vfat", min: 40 * mib, fsck: []string{"fsck.vfat", "-n"}, mkfs: [][]string{{"mkfs.vfat"}},
		mkfs512: [][]string{{"mkfs.vfat", "-F", "32", "-s", "1"}, {"mkfs.vfat", "-F", "16"}}},
	{name: "ntfs", min: 10 * mib, driver: "ntfs-3g", fsck: []string{"ntfsfix", "-n"}, mkfs: [][]string{
		{"mkfs.ntfs", "-q", "-F", "-f"}, {"mkfs.ntfs", "-q", "-F", "-f", "-c", "65536"}}},
	{name: "exfat", min: 10 * mib, driver: "exfat-fuse", fsck: []string{"fsck.exfat", "-n"}, mkfs: [][]string{{"mkfs.exfat"}}},
	{name: "btrfs", min: 40 * mib, driver: "btrfs", fsck: []string{"btrfs", "check", "--readonly"}, mkfs: [][]string{
		{"mkfs.btrfs", "-q", "-f", "-M"}}},
	{name: "minix", min: 2 * mib, fsck: []string{"fsck.minix", "-f"}, mkfs512: [][]string{{"mkfs.minix", "-2"}, {"mkfs.minix", "-3"}}},
	{name: "f2fs", min: 80 * mib, fsck: []string{"fsck.f2fs", "--dry-run"}, mkfs512: [][]string{{"mkfs.f2fs", "-q", "-f"}}},
	{name: "ext4 in use", min: 8 * mib, driver: "ext4", inUse: true, whole: true, mkfs: [][]string{{"mkfs.ext4", "-q", "-F", "-b", "4096"}}},
	{name: "swap", min: 1 * mib, first: 4096, mkfs: [][]string{{"mkswap", "-q"}}},
	{name: "zeros", min: 1 * mib, whole: true},
	{name: "noise", min: 1 * mib, whole: true},
	{name: "luks", min: 20 * mib, whole: true, mkfs: [][]string{
		{"sh", "-c", `echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --iter-time 10 --key-file - "$0"`}}},
}

// size draws one that it accepts.
func (k kind) size(r *rand.Rand) int64 { return k.min + between(r, 0, 20*mib) }

// make puts it on a device. tree is the directory of what may be in it.
func (k kind) make(t *testing.T, r *rand.Rand, dev string, sector int64, tree string) {
	t.Helper()
	list := k.mkfs
	if sector == 512 {
		list = append(list[:len(list):len(list)], k.mkfs512...)
	}
	if k.name == "noise" || len(list) > 0 && chance(r, 2) {
		noise(t, r, dev)
	}
	if len(list) > 0 {
		c := list[r.IntN(len(list))]
		fstest.Run(t, c[0], append(c[1:len(c):len(c)], dev)...)
	}
	switch {
	case k.name == "f2fs":
		if len(list) > 0 {
			fstest.Run(t, "sload.f2fs", "-f", tree, dev)
		}
	case k.name == "vfat":
		fstest.Run(t, "sh", "-c", `mcopy -s -i "$0" "$1"/* ::`, dev, tree)
	case k.driver != "":
		m := fstest.Mount(t, k.driver, dev)
		for n := range between(r, 1, 4) {
			to := filepath.Join(m.Dir, fmt.Sprint("tree", n))
			_ = exec.Command("cp", "-r", tree, to).Run() // until it is full
			if chance(r, 3) {
				fstest.Run(t, "rm", "-rf", to)
			}
		}
		if k.inUse {
			fstest.Run(t, "sync", "-f", m.Dir)
			running := filepath.Join(t.TempDir(), "running")
			fstest.Run(t, "cp", dev, running)
			defer fstest.Run(t, "dd", "if="+running, "of="+dev, "bs=1M", "conv=fsync", "status=none")
		}
		m.Now()
	}
}

// same compares a partition with its copy.
func (k kind) same(t *testing.T, dev, copied string) {
	t.Helper()
	if k.whole {
		fstest.Run(t, "cmp", dev, copied)
		return
	}
	if k.first > 0 {
		fstest.Run(t, "cmp", "-n", fmt.Sprint(k.first), dev, copied)
		return
	}
	if fstest.Run(t, "sh", "-c", `blkid -p -o value -s TYPE "$0" || true`, dev) == "" { // nothing was made of it
		fstest.Run(t, "cmp", dev, copied)
		return
	}
	if len(k.fsck) > 0 {
		fstest.Run(t, k.fsck[0], append(k.fsck[1:len(k.fsck):len(k.fsck)], copied)...)
	}
	switch {
	case k.name == "vfat":
		a, b := t.TempDir(), t.TempDir()
		fstest.Run(t, "mcopy", "-s", "-n", "-i", dev, "::", a)
		fstest.Run(t, "mcopy", "-s", "-n", "-i", copied, "::", b)
		fstest.Run(t, "diff", "-r", a, b)
	case k.driver != "":
		if k.name == "btrfs" { // the kernel does not mount two of the same UUID
			fstest.Run(t, "cmp", "-n", "65536", dev, copied)
			m := fstest.Mount(t, k.driver, copied, "ro")
			fstest.Run(t, "sh", "-c", `cat $(find "$0" -type f) >/dev/null`, m.Dir) // sums of all data
			m.Now()
			return
		}
		a, b := fstest.Mount(t, k.driver, dev, "ro"), fstest.Mount(t, k.driver, copied, "ro")
		fstest.Run(t, "diff", "-r", a.Dir, b.Dir)
		b.Now()
		a.Now()
	}
}

// noise fills a file or device.
func noise(t *testing.T, r *rand.Rand, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	var key [32]byte
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	random := rand.NewChaCha8(key)
	b := make([]byte, mib)
	for at := int64(0); at < size; at += mib {
		_, _ = random.Read(b)
		if _, err := f.WriteAt(b[:min(mib, size-at)], at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// newTree makes a directory of files of random sizes and depths.
func newTree(t *testing.T, r *rand.Rand) string {
	t.Helper()
	dir := t.TempDir()
	for n := range between(r, 3, 60) {
		at := dir
		for range r.IntN(4) {
			at = filepath.Join(at, fmt.Sprint("d", r.IntN(3)))
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		size := r.Int64N(1 << between(r, 1, 20))
		b := bytes.Repeat([]byte{byte(n)}, int(size))
		if chance(r, 2) {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		name := strings.Repeat("n", 1+r.IntN(40)) + fmt.Sprint(n)
		if err := os.WriteFile(filepath.Join(at, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
