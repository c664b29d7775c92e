// SPDX-License-Identifier: GPL-2.0-or-later

package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// inUse is the reason not to overwrite a file or device, or nil. What cannot be found out counts
// as in use.
func inUse(k kernel, o object) *RefusedError {
	s, err := k.snapshot()
	var r *RefusedError
	if err == nil {
		r, err = s.use(o)
	}
	if err != nil {
		return &RefusedError{
			Reason: fmt.Sprintf("it cannot be told whether it is in use: %v", err),
			Hint:   "/proc and /sys must be mounted",
			Err:    err,
		}
	}
	return r
}

// whyBusy explains why the device behind fd could not be opened exclusively.
func whyBusy(fd int) *RefusedError {
	r := &RefusedError{
		Reason: "it is in use by another program",
		Hint:   "lsblk and fuser -v show more",
	}
	var st unix.Stat_t
	if s, err := live.snapshot(); err == nil && unix.Fstat(fd, &st) == nil {
		found, _ := s.use(objectOf(&st))
		if found == nil {
			s.addForeignMounts()
			found, _ = s.use(objectOf(&st))
		}
		if found != nil {
			r = found
		}
	}
	r.Err = unix.EBUSY
	return r
}

// use finds what overwriting o would hurt: whoever uses o itself, a partition of it or the disk
// it is on; and, when o is a loop device, whoever else uses what is below it.
func (s *snapshot) use(o object) (*RefusedError, error) {
	return s.useAs(o, "it", 0)
}

// useAs is use for an object called it, where the loop device except is no reason.
func (s *snapshot) useAs(o object, it string, except uint64) (*RefusedError, error) {
	if o.rdev == 0 {
		return s.direct(o, it, except), nil
	}
	family, err := s.family(o.rdev, it)
	if err != nil {
		return nil, err
	}
	for _, b := range family {
		if r := s.direct(b.object(), b.subject, except); r != nil {
			return r, nil
		}
		holders, err := b.holders()
		if err != nil {
			return nil, err
		}
		if len(holders) > 0 {
			return s.held(b.subject, holders[0]), nil
		}
	}
	for _, b := range family {
		for _, l := range s.loops {
			if l.rdev == b.rdev && l.backing != (object{}) {
				if l.backing.rdev != 0 {
					s.addForeignMounts() // exclusiveness ends here, so they must be looked for
				}
				return s.useAs(l.backing, "its backing file "+l.path, l.rdev)
			}
		}
	}
	return nil, nil
}

// direct looks for users of just this object.
func (s *snapshot) direct(o object, it string, except uint64) *RefusedError {
	if m := s.mountOf(o); m != nil {
		return &RefusedError{Reason: it + " is mounted on " + m.where(), Hint: unmount(m)}
	}
	if slices.Contains(s.swaps, o) {
		return &RefusedError{Reason: it + " is in use as swap", Hint: "swapoff ends that"}
	}
	for _, group := range s.btrfs {
		if slices.Contains(group, o) {
			return s.member(it, group)
		}
	}
	for _, l := range s.loops {
		if l.backing == o && l.rdev != except {
			return s.behind(it, l)
		}
	}
	return nil
}

func (s *snapshot) mountOf(o object) *mount {
	for i, m := range s.mounts {
		if slices.Contains(m.on, o) {
			return &s.mounts[i]
		}
	}
	return nil
}

// unmount is the hint for a mount, where a hint is of use.
func unmount(m *mount) string {
	switch {
	case m.pid != "":
		return fmt.Sprintf("nsenter -t %s -m umount %s", m.pid, m.point)
	case m.point == "/":
		return "this system runs from it: start another one to overwrite it"
	}
	return "umount " + m.point
}

func (s *snapshot) member(it string, group []object) *RefusedError {
	for _, o := range group {
		if m := s.mountOf(o); m != nil {
			return &RefusedError{Reason: it + " is part of the btrfs mounted on " + m.where(), Hint: unmount(m)}
		}
	}
	return &RefusedError{Reason: it + " is part of a btrfs mounted in another mount namespace"}
}

// behind is the refusal of what a loop device reads and writes.
func (s *snapshot) behind(it string, l loop) *RefusedError {
	r := &RefusedError{
		Reason: fmt.Sprintf("%s is the backing file of %s", it, l.node()),
		Hint:   "losetup -d " + l.node(),
	}
	family, _ := s.family(l.rdev, "it")
	for _, b := range family {
		if m := s.mountOf(b.object()); m != nil {
			r.Reason += ", mounted on " + m.where()
			r.Hint = unmount(m) + ", then " + r.Hint
			break
		}
	}
	return r
}

// held is the refusal of a device on which another one was built.
func (s *snapshot) held(it string, by block) *RefusedError {
	r := &RefusedError{Hint: "lsblk shows what is built on it"}
	name, _ := os.ReadFile(filepath.Join(by.dir, "dm/name"))
	uuid, _ := os.ReadFile(filepath.Join(by.dir, "dm/uuid"))
	what := fmt.Sprintf("%s (%s)", by.name, strings.TrimSpace(string(name)))
	switch kind, _, _ := strings.Cut(string(uuid), "-"); {
	case len(name) == 0 && strings.HasPrefix(by.name, "md"):
		r.Reason = it + " is part of the RAID array " + by.name
		r.Hint = "mdadm --stop " + by.node()
	case len(name) == 0:
		r.Reason = it + " is held by " + by.name
	case kind == "LVM":
		r.Reason = it + " is held by LVM, " + what
		r.Hint = "vgchange -an deactivates a volume group"
	case kind == "CRYPT":
		r.Reason = it + " is held by encryption, " + what
		r.Hint = "cryptsetup close " + strings.TrimSpace(string(name))
	case kind == "mpath":
		r.Reason = it + " is a path of the multipath device " + what
		r.Hint = "use " + by.node() + " instead"
	default:
		r.Reason = it + " is held by device-mapper, " + what
	}
	return r
}
