// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A snapshot is what the kernel said, at one moment, about who uses files and devices.
type snapshot struct {
	kernel
	mounts []mount
	swaps  []object
	loops  []loop
	btrfs  [][]object // the members of each btrfs that is mounted somewhere
}

// A mount is a mounted file system.
type mount struct {
	point string
	pid   string // of a process in the mount namespace, or empty when it is ours

	write bool
	on    []object // the device or file it was mounted from, as far as that can be known
}

// A loop is a loop device in use.
type loop struct {
	block
	backing object
	path    string // of the backing file, as it was when attached
}

func (k kernel) snapshot() (*snapshot, error) {
	s := &snapshot{kernel: k}
	var err error
	if s.mounts, err = readMounts(filepath.Join(k.proc, "self"), "/", ""); err != nil {
		return nil, err
	}
	if s.swaps, err = k.readSwaps(); err != nil {
		return nil, err
	}
	if s.loops, err = k.readLoops(); err != nil {
		return nil, err
	}
	s.btrfs, err = k.readBtrfs()
	return s, err
}

// where says where the file system is mounted.
func (m *mount) where() string {
	if m.pid == "" {
		return m.point
	}
	return fmt.Sprintf("%s (in the mount namespace of process %s)", m.point, m.pid)
}

// readMounts reads the mounts of the process that proc describes; root is its root directory.
func readMounts(proc, root, pid string) ([]mount, error) {
	table := filepath.Join(proc, "mountinfo")
	f, err := os.Open(table)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := mountinfo.GetMountsFromReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", table, err)
	}
	mounts := make([]mount, 0, len(list))
	for _, i := range list {
		m := mount{point: i.Mountpoint, pid: pid}
		m.write = slices.Contains(strings.Split(i.VFSOptions, ","), "rw")
		if i.Major != 0 {
			m.on = append(m.on, object{rdev: unix.Mkdev(uint32(i.Major), uint32(i.Minor))})
		} else if filepath.IsAbs(i.Source) {
			// btrfs, FUSE and erofs on a file have no device number, but they name their source.
			if o, ok := objectAt(filepath.Join(root, i.Source)); ok {
				m.on = append(m.on, o)
			}
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// addForeignMounts adds what is mounted in other mount namespaces, as far as this process may see
// them. It is for finding a reason: a process that ends meanwhile, or that is not ours to look
// into, is passed over.
func (s *snapshot) addForeignMounts() {
	own, _ := os.Readlink(filepath.Join(s.proc, "self/ns/mnt"))
	seen := map[string]bool{own: true}
	entries, _ := os.ReadDir(s.proc)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(s.proc, e.Name())
		ns, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
		if err != nil || seen[ns] {
			continue
		}
		mounts, err := readMounts(dir, filepath.Join(dir, "root"), e.Name())
		if err != nil {
			continue // another process of the namespace may do
		}
		seen[ns] = true
		s.mounts = append(s.mounts, mounts...)
	}
}

// readSwaps reads /proc/swaps, which a kernel without swap does not have.
func (k kernel) readSwaps() ([]object, error) {
	f, err := os.Open(filepath.Join(k.proc, "swaps"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []object
	for lines := bufio.NewScanner(f); ; {
		if !lines.Scan() {
			return list, lines.Err()
		}
		path, _, _ := strings.Cut(lines.Text(), " ")
		if o, ok := objectAt(unescape(path)); ok {
			list = append(list, o)
		}
	}
}

// unescape undoes what the kernel's seq_path does to blanks and backslashes: three octal digits.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// readLoops finds the loop devices that have a backing file.
func (k kernel) readLoops() ([]loop, error) {
	dir := filepath.Join(k.sys, "block")
	if _, err := os.Stat(dir); err != nil {
		return nil, err // without sysfs there seem to be none
	}
	blocks, err := blocksIn(dir, "loop*")
	if err != nil {
		return nil, err
	}
	var list []loop
	for _, b := range blocks {
		text, err := os.ReadFile(filepath.Join(b.dir, "loop/backing_file"))
		if err != nil {
			continue // not in use
		}
		l := loop{block: b, path: strings.TrimSuffix(string(text), "\n")}
		l.backing, _ = k.backing(l)
		list = append(list, l)
	}
	return list, nil
}

// backing identifies a loop device's backing file. The driver knows best, even when the file was
// renamed, deleted, or is in another mount namespace; a process that may not ask it follows the
// path.
func (k kernel) backing(l loop) (object, bool) {
	fd, err := open(filepath.Join(k.dev, l.name), unix.O_RDONLY)
	if err != nil {
		return objectAt(l.path)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err != nil || unix.Fstat(fd, &st) != nil || st.Rdev != l.rdev {
		return objectAt(l.path)
	}
	if info.Rdevice != 0 {
		return object{rdev: info.Rdevice}, true
	}
	return object{dev: info.Device, ino: info.Inode}, true
}

// readBtrfs groups the members of each btrfs: a mount names but one of them.
func (k kernel) readBtrfs() ([][]object, error) {
	dirs, err := filepath.Glob(filepath.Join(k.sys, "fs/btrfs/*/devices"))
	if err != nil {
		return nil, err
	}
	var groups [][]object
	for _, dir := range dirs {
		members, err := blocksIn(dir, "*")
		if err != nil {
			return nil, err
		}
		var group []object
		for _, b := range members {
			group = append(group, b.object())
		}
		groups = append(groups, group)
	}
	return groups, nil
}
