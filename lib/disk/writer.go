// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// MountedReadWrite looks for a file system that is mounted read-write and stored in this device or
// file: on it, its partitions or its disk, on a loop device over one of those, or on what LVM and
// the like built from them. Such a source changes while it is read. Mounts in other namespaces
// count as far as this process may see them, and then the mount point says so.
func MountedReadWrite(path string) (mountpoint string, ok bool, err error) {
	return live.mountedReadWrite(path)
}

func (k kernel) mountedReadWrite(path string) (string, bool, error) {
	fd, st, err := locate(path)
	if err != nil {
		return "", false, &os.PathError{Op: "look up", Path: path, Err: err}
	}
	defer unix.Close(fd)
	s, err := k.snapshot()
	if err != nil {
		return "", false, err
	}
	s.addForeignMounts()
	m, err := s.writer(objectOf(&st), map[object]bool{})
	if m == nil {
		return "", false, err
	}
	return m.where(), true, nil
}

// writer finds a read-write mount in o, in what is stacked on it, or, when o is a loop device, in
// what it is stacked on.
func (s *snapshot) writer(o object, seen map[object]bool) (*mount, error) {
	if seen[o] || o == (object{}) {
		return nil, nil
	}
	seen[o] = true
	if m := s.writeMount(o); m != nil {
		return m, nil
	}
	var next []object
	for _, l := range s.loops {
		if l.backing == o {
			next = append(next, l.object())
		}
		if l.object() == o {
			next = append(next, l.backing)
		}
	}
	if o.rdev != 0 {
		b, err := s.block(o.rdev)
		if err != nil {
			return nil, err
		}
		above, disk, err := stacked(b)
		if err != nil {
			return nil, err
		}
		// Only the disk itself: its other partitions are none of o's business.
		if m := s.writeMount(disk.object()); m != nil {
			return m, nil
		}
		next = append(next, above...)
	}
	for _, n := range next {
		if m, err := s.writer(n, seen); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// stacked lists a device's partitions and holders, and the disk it is on.
func stacked(b block) (above []object, disk block, err error) {
	if disk, err = b.whole(); err != nil {
		return nil, disk, err
	}
	parts, err := b.partitions()
	if err != nil {
		return nil, disk, err
	}
	holders, err := b.holders()
	for _, a := range append(parts, holders...) {
		above = append(above, a.object())
	}
	return above, disk, err
}

// writeMount finds a read-write mount of o, or of a btrfs that o is a member of.
func (s *snapshot) writeMount(o object) *mount {
	same := []object{o}
	for _, group := range s.btrfs {
		if slices.Contains(group, o) {
			same = group
		}
	}
	for i, m := range s.mounts {
		if m.write && slices.ContainsFunc(m.on, func(on object) bool { return slices.Contains(same, on) }) {
			return &s.mounts[i]
		}
	}
	return nil
}
