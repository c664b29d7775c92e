// SPDX-License-Identifier: GPL-2.0-or-later

// Package faultfs is a disk that fails on demand: one file in a FUSE file system of its own, whose
// bytes are in memory, to be put under a loop device.
//
// Rules, set while it is in use, make reads, writes or flushes of a range fail, lie or wait. Every
// write and flush is logged, so that the disk can be had as a power cut at any moment might have
// left it: all that was flushed, a part of the rest, torn at any sector.
package faultfs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Sector is what a disk writes whole or not at all, in bytes.
const Sector = 512

// An Op is something asked of a disk.
type Op int

const (
	Read Op = iota
	Write
	Flush
)

// A Rule is what happens to an operation that touches a range. The first rule that applies counts.
type Rule struct {
	Op    Op
	From  int64         // bytes; a Flush has no range
	To    int64         // 0: to the end
	Err   syscall.Errno // 0: it succeeds
	Times int           // applies so often; 0: always
	Delay time.Duration
	Lie   bool // a write that succeeds and does not keep what it was given
}

// An Event is one write or flush, in the order in which they were done.
type Event struct {
	Op     Op
	Offset int64
	Data   []byte
	At     time.Time
}

// A Disk is a file that obeys rules.
type Disk struct {
	Path string // of the file

	server *fuse.Server
	dir    string

	mu     sync.Mutex
	bytes  []byte
	start  []byte // what it held when the log began
	rules  []*Rule
	log    []Event
	keep   bool
	looked time.Time // the last time that it was read
	left   int64     // bytes until it dies; 0: it does not
	died   time.Time // zero: it has not
}

// Mount makes a disk of so many bytes below dir, with content (shorter or nil: zeros follow).
func Mount(dir string, size int64, content []byte) (*Disk, error) {
	d := &Disk{dir: dir, bytes: make([]byte, size)}
	copy(d.bytes, content)
	root := &rootNode{disk: d}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		FsName:            "faultfs",
		DirectMountStrict: true, // by root, without fusermount
		MaxWrite:          512 << 10,
	}})
	if err != nil {
		return nil, fmt.Errorf("mount faultfs on %s: %w", dir, err)
	}
	d.server, d.Path = server, filepath.Join(dir, "disk")
	return d, nil
}

// Unmount ends it. Nobody may have the file open any more.
func (d *Disk) Unmount() error { return d.server.Unmount() }

// Set replaces all rules.
func (d *Disk) Set(rules ...Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = nil
	for _, r := range rules {
		d.rules = append(d.rules, &r)
	}
}

// LastRead is when it was read last.
func (d *Disk) LastRead() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looked
}

// DieAfter fails everything once so many more bytes have been written.
func (d *Disk) DieAfter(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = bytes
}

// Died is when that was.
func (d *Disk) Died() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

// wear counts what was written. The caller holds mu.
func (d *Disk) wear(bytes int64) {
	if d.left == 0 {
		return
	}
	if d.left = max(0, d.left-bytes); d.left == 0 {
		d.rules = []*Rule{{Op: Read, Err: syscall.EIO}, {Op: Write, Err: syscall.EIO}, {Op: Flush, Err: syscall.EIO}}
		d.died = time.Now()
	}
}

// Bytes is a copy of what it holds.
func (d *Disk) Bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.bytes)
}

// Record forgets the log and begins a new one.
func (d *Disk) Record() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start, d.log, d.keep = slices.Clone(d.bytes), nil, true
}

// Log is what was written and flushed since Record.
func (d *Disk) Log() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// Written is the number of bytes written since Record.
func (d *Disk) Written() (n int64) {
	for _, e := range d.Log() {
		n += int64(len(e.Data))
	}
	return n
}

// PowerCut is the disk as it might be found when the power had failed after the first n events of
// the log: all before the last flush, and of each later write none, all, or some of its sectors.
func (d *Disk) PowerCut(n int, rng *rand.Rand) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	disk := slices.Clone(d.start)
	events := d.log[:n]
	safe := 0
	for i, e := range events {
		if e.Op == Flush {
			safe = i
		}
	}
	for i, e := range events {
		switch {
		case e.Op != Write:
		case i < safe || rng.IntN(3) == 0:
			copy(disk[e.Offset:], e.Data)
		case rng.IntN(2) == 0:
			for at := 0; at < len(e.Data); at += Sector {
				if rng.IntN(2) == 0 {
					copy(disk[e.Offset+int64(at):], e.Data[at:min(len(e.Data), at+Sector)])
				}
			}
		}
	}
	return disk
}

// apply finds the rule for an operation and waits as it says.
func (d *Disk) apply(op Op, off, n int64) Rule {
	d.mu.Lock()
	var found Rule
	for i, r := range d.rules {
		if r.Op != op || op != Flush && (off+n <= r.From || r.To != 0 && off >= r.To) {
			continue
		}
		found = *r
		if r.Times == 1 {
			d.rules = slices.Delete(d.rules, i, i+1)
		} else if r.Times > 1 {
			r.Times--
		}
		break
	}
	d.mu.Unlock()
	time.Sleep(found.Delay)
	return found
}

func (d *Disk) read(p []byte, off int64) (int, syscall.Errno) {
	if r := d.apply(Read, off, int64(len(p))); r.Err != 0 {
		return 0, r.Err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = time.Now()
	if off >= int64(len(d.bytes)) {
		return 0, 0
	}
	return copy(p, d.bytes[off:]), 0
}

func (d *Disk) write(p []byte, off int64) (int, syscall.Errno) {
	r := d.apply(Write, off, int64(len(p)))
	if r.Err != 0 {
		return 0, r.Err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if off+int64(len(p)) > int64(len(d.bytes)) {
		return 0, syscall.ENOSPC
	}
	at := d.bytes[off : off+int64(len(p))]
	copy(at, p)
	d.wear(int64(len(p)))
	if r.Lie {
		at[max(0, r.From-off)] ^= 1
	}
	if d.keep {
		d.log = append(d.log, Event{Op: Write, Offset: off, Data: slices.Clone(at), At: time.Now()})
	}
	return len(p), 0
}

func (d *Disk) flush() syscall.Errno {
	if r := d.apply(Flush, 0, 0); r.Err != 0 {
		return r.Err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keep {
		d.log = append(d.log, Event{Op: Flush, At: time.Now()})
	}
	return 0
}

type rootNode struct {
	fs.Inode
	disk *Disk
}

func (r *rootNode) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, &fileNode{disk: r.disk}, fs.StableAttr{Mode: syscall.S_IFREG}), true)
}

type fileNode struct {
	fs.Inode
	disk *Disk
}

var (
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeGetattrer = (*fileNode)(nil)
	_ fs.NodeSetattrer = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
	_ fs.NodeWriter    = (*fileNode)(nil)
	_ fs.NodeFsyncer   = (*fileNode)(nil)
)

// Open keeps the kernel from caching: every read and write of the loop device is one of ours.
func (f *fileNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, uint64(len(f.disk.bytes)), 4096
	out.Blocks = out.Size / Sector
	return 0
}

// Setattr changes nothing: a disk does not grow.
func (f *fileNode) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

func (f *fileNode) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, errno := f.disk.read(p, off)
	return fuse.ReadResultData(p[:n]), errno
}

func (f *fileNode) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	n, errno := f.disk.write(p, off)
	return uint32(n), errno
}

func (f *fileNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return f.disk.flush() }
