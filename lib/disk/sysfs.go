// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A kernel is where to ask the running kernel about its devices.
type kernel struct{ sys, proc, dev string }

var live = kernel{sys: "/sys", proc: "/proc", dev: "/dev"}

// An object is a block device or a file by what the kernel calls it, unlike its paths, of which
// there may be many and which can be swapped. Objects can be compared.
type object struct {
	rdev     uint64 // block device number, 0 for a file
	dev, ino uint64 // 0 for a block device
}

func objectOf(st *unix.Stat_t) object {
	if isBlock(st) {
		return object{rdev: st.Rdev}
	}
	return object{dev: st.Dev, ino: st.Ino}
}

// objectAt looks up a path; ok is false when it leads to nothing that could be a target.
func objectAt(path string) (o object, ok bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || kind(&st) != "" {
		return o, false
	}
	return objectOf(&st), true
}

// A block is a block device as sysfs shows it.
type block struct {
	rdev uint64
	name string // the kernel's name for it, such as sda1
	dir  string // its directory in sysfs, free of symbolic links
}

func (b block) object() object { return object{rdev: b.rdev} }

// node is the device's usual path. sysfs writes ! where a name has a slash.
func (b block) node() string { return "/dev/" + strings.ReplaceAll(b.name, "!", "/") }

func (k kernel) block(rdev uint64) (block, error) {
	number := fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
	dir, err := filepath.EvalSymlinks(filepath.Join(k.sys, "dev/block", number))
	if err != nil {
		return block{}, err
	}
	return block{rdev: rdev, name: filepath.Base(dir), dir: dir}, nil
}

// blockIn reads a device's sysfs directory, or a link to one.
func blockIn(link string) (block, error) {
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return block{}, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err != nil {
		return block{}, err
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		return block{}, fmt.Errorf("%s/dev: %w", dir, err)
	}
	return block{rdev: unix.Mkdev(major, minor), name: filepath.Base(dir), dir: dir}, nil
}

// blocksIn reads the device directories that a pattern matches. One that vanishes meanwhile was
// not in anybody's way.
func blocksIn(dir, pattern string) ([]block, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []block
	for _, e := range entries {
		if ok, err := filepath.Match(pattern, e.Name()); err != nil || !ok {
			continue
		}
		b, err := blockIn(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

func (b block) isPartition() bool {
	_, err := os.Stat(filepath.Join(b.dir, "partition"))
	return err == nil
}

// whole is the disk that a partition is on, and any other device itself.
func (b block) whole() (block, error) {
	if !b.isPartition() {
		return b, nil
	}
	return blockIn(filepath.Dir(b.dir))
}

func (b block) partitions() ([]block, error) {
	list, err := blocksIn(b.dir, b.name+"*")
	if err != nil {
		return nil, err
	}
	parts := list[:0]
	for _, p := range list {
		if p.isPartition() {
			parts = append(parts, p)
		}
	}
	return parts, nil
}

// holders are the devices that the kernel has built on top of this one: device-mapper (LVM,
// encryption, multipath), md, bcache. Loop devices are not among them.
func (b block) holders() ([]block, error) { return blocksIn(filepath.Join(b.dir, "holders"), "*") }

// A relative is a device that shares bytes with another, and what to call it in a sentence.
type relative struct {
	block
	subject string
}

// family is the device called it, and its partitions or the disk that it is a partition of. The
// other partitions of that disk share no byte with it.
func (k kernel) family(rdev uint64, it string) ([]relative, error) {
	b, err := k.block(rdev)
	if err != nil {
		return nil, err
	}
	its := it + "'s"
	if it == "it" {
		its = "its"
	}
	list := []relative{{b, it}}
	if b.isPartition() {
		disk, err := b.whole()
		return append(list, relative{disk, its + " disk " + disk.name}), err
	}
	parts, err := b.partitions()
	for _, p := range parts {
		list = append(list, relative{p, its + " partition " + p.name})
	}
	return list, err
}
