// SPDX-License-Identifier: GPL-2.0-or-later

// Package faults injects the faults that EZIO promises to survive, or to report, into the real
// programs: disks that fail, lie and lose power, peers and servers that mean harm, networks that
// come and go. docs/reliability.md says which test holds which promise.
package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/tests/faults/faultfs"
)

var bin, _ = filepath.Abs("../../bin")

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests set up loop devices and namespaces: run them as root")
		os.Exit(1)
	}
	if _, err := os.Stat(filepath.Join(bin, "ezio-recv")); err != nil {
		fmt.Fprintln(os.Stderr, "these tests run the programs in bin/: run make build first")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// An image is a disk of extents and gaps, and its torrent.
type image struct {
	t       *metainfo.Torrent
	bytes   []byte // the whole disk; what lies in the gaps is not part of the image
	torrent string // file
	disk    string // file
}

const canary = 0xee // in every gap of a target

// patience is how long is waited for what must come. The machine may be busy with other things: what must
// be quick is measured otherwise.
const patience = 2 * time.Minute

// newImage makes one of so many pieces, the last of which is short.
func newImage(t testing.TB, pieces int, length int64) *image {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, uint64(pieces)))
	var list []extent.Extent
	var end int64
	total := (int64(pieces)*length - length/3) &^ 4095
	for size := int64(0); size < total; {
		n := min(4096*(1+rng.Int64N(3*length/4096)), total-size)
		end += 4096 * rng.Int64N(30)
		list = append(list, extent.Extent{Offset: end, Length: n})
		end += n
		size += n
	}
	end += 64 << 10
	im := &image{bytes: make([]byte, end)}
	_, _ = rand.NewChaCha8([32]byte{byte(pieces)}).Read(im.bytes)
	m, err := extent.New(list)
	must(t, err)
	l := piece.Layout{Length: length, Size: m.Size()}
	sums := make([]piece.Hash, l.Count())
	for i := range sums {
		off, n := l.Span(i)
		b := make([]byte, n)
		_, err := extent.Image{Map: m, Disk: bytes.NewReader(im.bytes)}.ReadAt(b, off)
		must(t, err)
		sums[i] = piece.Sum(b)
	}
	raw, tor, err := metainfo.Spec{Name: "lab", PieceLength: length, Extents: list, Pieces: sums,
		Disk: metainfo.Disk{DeviceSize: end, BlockSize: 4096}}.Encode()
	must(t, err)
	im.t = tor
	dir := t.TempDir()
	im.torrent, im.disk = filepath.Join(dir, "lab.torrent"), filepath.Join(dir, "lab.img")
	must(t, os.WriteFile(im.torrent, raw, 0o600))
	must(t, os.WriteFile(im.disk, im.bytes, 0o600))
	return im
}

// blank is a target's content before it is written to: canaries.
func (im *image) blank() []byte { return bytes.Repeat([]byte{canary}, len(im.bytes)) }

// blankFile is a file with that content.
func (im *image) blankFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "target.img")
	must(t, os.WriteFile(path, im.blank(), 0o600))
	return path
}

// right says which pieces a disk holds.
func (im *image) right(disk []byte) []bool {
	list := make([]bool, len(im.t.Pieces))
	for i := range list {
		off, n := im.t.Layout.Span(i)
		b := make([]byte, n)
		_, err := extent.Image{Map: im.t.Map, Disk: bytes.NewReader(disk)}.ReadAt(b, off)
		list[i] = err == nil && piece.Sum(b) == im.t.Pieces[i]
	}
	return list
}

func count(list []bool) (n int) {
	for _, ok := range list {
		if ok {
			n++
		}
	}
	return n
}

// check wants every extent right and every gap untouched.
func (im *image) check(t testing.TB, disk []byte) {
	t.Helper()
	if n := count(im.right(disk)); n != len(im.t.Pieces) {
		t.Errorf("%d of %d pieces are right", n, len(im.t.Pieces))
	}
	im.checkGaps(t, disk)
}

func (im *image) checkGaps(t testing.TB, disk []byte) {
	t.Helper()
	at := int64(0)
	checked := 0
	gap := func(end int64) {
		for ; at < end; at++ {
			if checked++; disk[at] != canary {
				t.Errorf("byte %#x between the extents was changed", at)
				return
			}
		}
	}
	for e := range im.t.Map.All() {
		gap(e.Offset)
		at = e.End()
	}
	gap(int64(len(disk)))
	if checked == 0 {
		t.Error("the image has no gap")
	}
}

// place is the disk offset in the middle of a piece.
func (im *image) place(i int) int64 {
	off, n := im.t.Layout.Span(i)
	for e := range im.t.Map.Slices(off+n/2&^4095, 4096) {
		return e.Offset &^ 4095
	}
	return -1
}

// faulty is a failing disk under a loop device.
func faulty(t testing.TB, content []byte) (d *faultfs.Disk, dev string) {
	t.Helper()
	dir := t.TempDir()
	d, err := faultfs.Mount(dir, int64(len(content)), content)
	must(t, err)
	t.Cleanup(func() { // the kernel lets go of the file a moment after the loop device is detached
		until(t, patience, "unmounting the disk", func() bool { return d.Unmount() == nil })
	})
	return d, loop(t, d.Path)
}

func loop(t testing.TB, file string, flags ...string) string {
	t.Helper()
	out, err := exec.Command("losetup", append(flags, "--find", "--show", file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup %s: %v: %s", file, err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", dev, err, out)
		}
		until(t, patience, dev+" lets go of "+file, func() bool { // with the last program that looks at it
			out, _ := exec.Command("losetup", "-n", "-O", "BACK-FILE", dev).Output()
			return len(bytes.TrimSpace(out)) == 0
		})
	})
	return dev
}

// A proc is a program at work.
type proc struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  buffer
	err  buffer
	done chan struct{}
	code int       // once it is done
	end  time.Time // likewise
}

// buffer is written by a program and read by its test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs one of our programs, or another by its path or name.
func start(t testing.TB, args ...string) *proc {
	t.Helper()
	name := args[0]
	if strings.HasPrefix(name, "ezio-") {
		name = filepath.Join(bin, name)
	}
	p := &proc{t: t, name: args[0], cmd: exec.Command(name, args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.WaitDelay = 2 * time.Second
	must(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		p.end = time.Now()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(args, " "), tail(p.err.String()))
		}
	})
	return p
}

func tail(s string) string {
	if len(s) > 3000 {
		return "…" + s[len(s)-3000:]
	}
	return s
}

func (p *proc) signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// wait waits for its end, and returns its exit code.
func (p *proc) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s still runs after %v: %s", p.name, patience, tail(p.err.String()))
	}
	return p.code
}

// success wants it to end with exit code 0.
func (p *proc) success() {
	p.t.Helper()
	if code := p.wait(); code != 0 {
		p.t.Fatalf("%s: exit code %d: %s", p.name, code, tail(p.err.String()))
	}
}

// An event is a line of --progress json.
type event struct {
	Event, Phase, Message, Peer, Reason, Waiting string
	Time                                         time.Time
	DoneBytes                                    int64 `json:"done_bytes"`
	TotalBytes                                   int64 `json:"total_bytes"`
	KeptBytes                                    int64 `json:"kept_bytes"`
	ReceivedBytes                                int64 `json:"received_bytes"`
	Port                                         int
	TrackerPort                                  int `json:"tracker_port"`
	Peers                                        int
}

func (p *proc) events() []event {
	var list []event
	dec := json.NewDecoder(strings.NewReader(p.out.String()))
	for {
		var e event
		if dec.Decode(&e) != nil {
			return list
		}
		list = append(list, e)
	}
}

// event is the first event that fits.
func (p *proc) event(name, phase string) (event, bool) {
	for _, e := range p.events() {
		if e.Event == name && (phase == "" || e.Phase == phase) {
			return e, true
		}
	}
	return event{}, false
}

func (p *proc) said(name string) bool {
	_, ok := p.event(name, "")
	return ok
}

// await waits for an event.
func (p *proc) await(name, phase string) event {
	p.t.Helper()
	var found event
	until(p.t, patience, fmt.Sprintf("event %s %s of %s", name, phase, p.name), func() bool {
		e, ok := p.event(name, phase)
		found = e
		select {
		case <-p.done:
			if !ok {
				p.t.Fatalf("%s ended with code %d: %s", p.name, p.code, tail(p.err.String()))
			}
		default:
		}
		return ok
	})
	return found
}

// until polls a condition of another process.
func until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v passed without: %s", limit, what)
		}
	}
}

// A seeding is an ezio-seed on free ports.
type seeding struct {
	*proc
	url  string // of its torrent
	port int    // for peers
}

func seed(t testing.TB, torrent, disk string, more ...string) *seeding {
	t.Helper()
	p := start(t, append([]string{"ezio-seed", "-t", torrent, "-d", disk, "--listen", "127.0.0.1:0",
		"--tracker-listen", "127.0.0.1:0", "--progress", "json"}, more...)...)
	e := p.await("start", "serving")
	return &seeding{proc: p, port: e.Port, url: fmt.Sprintf("http://127.0.0.1:%d/a.torrent", e.TrackerPort)}
}

// sent is how many bytes it has uploaded, as of a second ago.
func (s *seeding) sent() (up int64) {
	for _, e := range s.events() {
		if e.Phase == "serving" {
			up = max(up, e.DoneBytes)
		}
	}
	return up
}

func (s *seeding) peer() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// recv starts a receiver that ends as soon as it is done.
func recv(t testing.TB, url, target string, more ...string) *proc {
	t.Helper()
	return start(t, append([]string{"ezio-recv", "-t", url, "-d", target, "--listen", "127.0.0.1:0",
		"--seed-idle", "0", "--progress", "json"}, more...)...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}
