// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Program is partclone's support for one kind of filesystem.
type Program struct {
	Filesystem string   // partclone's name of it, as in image headers and torrent.info
	Types      []string // names of it in blkid (util-linux)
	Commands   []string // the program's names, the usual one first
}

// programs is the only place that names partclone's programs. The last ones need a partclone built
// with libraries that Debian's is not built with; they work the same when they are there.
var programs = []Program{
	{"EXTFS", []string{"ext4", "ext3", "ext2", "ext4dev"}, []string{"partclone.extfs", "partclone.ext4", "partclone.ext3", "partclone.ext2"}},
	{"XFS", []string{"xfs"}, []string{"partclone.xfs"}},
	{"BTRFS", []string{"btrfs"}, []string{"partclone.btrfs"}},
	{"F2FS", []string{"f2fs"}, []string{"partclone.f2fs"}},
	{"FAT", []string{"vfat", "fat12", "fat16", "fat32", "msdos"}, []string{"partclone.fat", "partclone.vfat"}},
	{"EXFAT", []string{"exfat"}, []string{"partclone.exfat"}},
	{"NTFS", []string{"ntfs"}, []string{"partclone.ntfs"}},
	{"HFS Plus", []string{"hfsplus", "hfs+", "hfsx"}, []string{"partclone.hfsplus", "partclone.hfsp", "partclone.hfs+"}},
	{"MINIX", []string{"minix"}, []string{"partclone.minix"}},
	{"APFS", []string{"apfs"}, []string{"partclone.apfs"}},
	{"REISER4", []string{"reiser4"}, []string{"partclone.reiser4"}},
	{"REISERFS", []string{"reiserfs"}, []string{"partclone.reiserfs"}},
	{"JFS", []string{"jfs"}, []string{"partclone.jfs"}},
	{"NILFS", []string{"nilfs2"}, []string{"partclone.nilfs2"}},
	{"UFS", []string{"ufs"}, []string{"partclone.ufs"}},
	{"VMFS", []string{"VMFS", "VMFS_volume_member", "vmfs3", "vmfs5"}, []string{"partclone.vmfs", "partclone.vmfs5", "partclone.vmfs3"}},
}

// ProgramFor finds the program for a filesystem type, given by blkid's name or partclone's, in
// upper or lower case.
func ProgramFor(fsType string) (Program, bool) {
	for _, p := range programs {
		named := func(name string) bool { return strings.EqualFold(name, fsType) }
		if named(p.Filesystem) || slices.ContainsFunc(p.Types, named) {
			return p, true
		}
	}
	return Program{}, false
}

// Types lists, for messages, one blkid name for each kind of filesystem.
func Types() []string {
	var list []string
	for _, p := range programs {
		list = append(list, p.Types[0])
	}
	return list
}

// Find looks up the program. The error wraps exec.ErrNotFound when it is not installed.
func (p Program) Find() (string, error) {
	for _, name := range p.Commands {
		if path, err := find(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", p.Commands[0], exec.ErrNotFound)
}

// find looks on PATH and then where system programs are, which an ordinary user's PATH may lack.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
