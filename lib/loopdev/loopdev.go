// SPDX-License-Identifier: GPL-2.0-or-later

// Package loopdev shows a part of a disk as a block device of its own, for programs that know only
// whole devices.
//
// A partition's node in /dev would not do: it need not exist (the disk is an image file, or the
// kernel has not read the table), and it has a cache of its own, so that what is read there and
// what is read from the disk may differ.
//
// Invariant: the device is read-only, and the kernel takes it down when it is closed by its last
// user, so none is left behind however this process ends.
package loopdev

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ezio/lib/extent"
)

// A Device is an attached loop device.
type Device struct {
	Path string // its node in /dev
	f    *os.File
}

// attempts bounds how often the kernel's free device may be taken by another program before us.
const attempts = 100

// Attach shows the bytes of f in a range, which it does not change, on a read-only device with
// logical sectors of so many bytes.
func Attach(f *os.File, at extent.Extent, sector int64) (*Device, error) {
	d, err := attach(f, at, sector)
	if err != nil {
		return nil, fmt.Errorf("loop device over %v of %s: %w", at, f.Name(), err)
	}
	return d, nil
}

func attach(f *os.File, at extent.Extent, sector int64) (*Device, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range attempts {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		d, err := configure(fmt.Sprintf("/dev/loop%d", n), f, at, sector)
		if !errors.Is(err, unix.EBUSY) {
			return d, err
		}
	}
	return nil, unix.EBUSY
}

func configure(path string, f *os.File, at extent.Extent, sector int64) (*Device, error) {
	dev, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = unix.IoctlLoopConfigure(int(dev.Fd()), &unix.LoopConfig{
		Fd:   uint32(f.Fd()),
		Size: uint32(sector),
		Info: unix.LoopInfo64{
			Offset:    uint64(at.Offset),
			Sizelimit: uint64(at.Length),
			Flags:     unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR,
		},
	})
	if err != nil {
		_ = dev.Close()
		return nil, err
	}
	return &Device{Path: path, f: dev}, nil
}

// Close detaches it, as soon as no other program has it open.
func (d *Device) Close() error { return d.f.Close() }
