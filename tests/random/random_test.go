// SPDX-License-Identifier: GPL-2.0-or-later

// Package random captures and deploys disks as chance would have them: partition tables, gaps,
// filesystems, files, sector sizes, ways to serve, sizes of the target. Whatever is drawn, the copy
// is sound and has the same files, and no byte outside of the extents is touched.
//
//	go test ./tests/random -rounds 200 -seed 1000
//
// tries seeds 1000 to 1199. The seed that failed is in the test's name.
package random

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ezio/lib/metainfo"
	"ezio/lib/partclone/fstest"
)

var (
	seed   = flag.Uint64("seed", 1, "the first seed")
	rounds = flag.Int("rounds", 4, "how many disks to try")
	tools  string // directory of our programs
)

func TestMain(m *testing.M) {
	flag.Parse()
	fstest.Main(m)
}

func TestDisks(t *testing.T) {
	tools = t.TempDir()
	fstest.Run(t, "go", "build", "-o", tools, "ezio/cmd/ezio-btfiles", "ezio/cmd/ezio-mktorrent", "ezio/cmd/ezio-seed",
		"ezio/cmd/ezio-recv", "ezio/cmd/ezio-verify")
	for i := range *rounds {
		n := *seed + uint64(i)
		t.Run(fmt.Sprint("seed", n), func(t *testing.T) { deploy(t, rand.New(rand.NewPCG(n, 0))) })
	}
}

// deploy draws a disk, makes it, and deploys it.
func deploy(t *testing.T, r *rand.Rand) {
	l := newLayout(r)
	t.Log(l)
	dir := t.TempDir()
	disk := l.make(t, r, filepath.Join(dir, "disk.img"))

	source := disk
	if chance(r, 2) {
		source = loop(t, disk, 0, l.size, l.sector)
	}
	args := []string{"-s", source}
	from := source
	switch r.IntN(4) {
	case 0:
		from = filepath.Join(dir, "btfiles")
		args = append(args, "-o", from)
	case 1:
		from = filepath.Join(dir, "raw.img")
		args = append(args, "--image", from)
	}
	if chance(r, 3) {
		args = append(args, "--piece-length", fmt.Sprint(16<<10<<r.IntN(11)))
	}
	info, said := ezio(t, nil, "ezio-btfiles", args...)
	t.Logf("%v\n%s", args, said)
	torrent := filepath.Join(dir, "a.torrent")
	ezio(t, info, "ezio-mktorrent", "-o", torrent)
	if strings.Contains(said, "table cannot be used") || strings.Contains(said, "both ") {
		t.Errorf("not understood: %s", said)
	}

	grown := int64(0)
	if chance(r, 2) {
		grown = between(r, 1, 40*mib) / l.sector * l.sector
	}
	target := filepath.Join(dir, "target.img")
	create(t, target, l.size+grown)
	noise(t, r, target)
	before := filepath.Join(dir, "before.img")
	fstest.Run(t, "cp", target, before)
	to := target
	if chance(r, 2) {
		to = loop(t, target, 0, l.size+grown, l.sector)
	}
	receive(t, torrent, from, to)
	if !t.Failed() {
		ezio(t, nil, "ezio-verify", "-q", "-t", torrent, "-d", to)
		l.compare(t, disk, target, grown)
		untouched(t, torrent, before, target, l, grown)
	}
}

// make makes the disk in an image file.
func (l layout) make(t *testing.T, r *rand.Rand, path string) string {
	t.Helper()
	create(t, path, l.size)
	if chance(r, 2) {
		noise(t, r, path)
	}
	if l.table != "" {
		dev := loop(t, path, 0, l.size, l.sector)
		c := exec.Command("sfdisk", "-q", "--wipe", "always", "--wipe-partitions", "never", "--no-reread", "--no-tell-kernel", dev)
		c.Stdin = strings.NewReader(l.script)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s\n%s", err, out, l.script)
		}
		detach(t, dev)
	}
	tree := newTree(t, r)
	for _, p := range l.parts {
		dev := loop(t, path, p.offset, p.size, l.sector)
		if p.kind.name != "noise" {
			fstest.Run(t, "sh", "-c", `head -c "$1" /dev/zero | dd of="$0" bs=1M iflag=fullblock conv=fsync status=none`, dev, fmt.Sprint(p.size))
		}
		p.kind.make(t, r, dev, l.sector, tree)
		detach(t, dev)
	}
	return path
}

// compare compares the disk and its copy: the table and each partition.
func (l layout) compare(t *testing.T, disk, copied string, grown int64) {
	t.Helper()
	if l.table != "" {
		a, b := loop(t, disk, 0, l.size, l.sector), loop(t, copied, 0, l.size+grown, l.sector)
		if x, y := dump(t, a), dump(t, b); x != y {
			t.Errorf("the tables differ:\n%s\n%s", x, y)
		}
		fstest.Run(t, "cmp", "-n", "440", a, b)
		if l.table == "gpt" {
			if out := fstest.Run(t, "sgdisk", "-v", b); !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk: %s", out)
			}
		}
		detach(t, a)
		detach(t, b)
	}
	for _, p := range l.parts {
		a, b := loop(t, disk, p.offset, p.size, l.sector), loop(t, copied, p.offset, p.size, l.sector)
		p.kind.same(t, a, b)
		detach(t, a)
		detach(t, b)
	}
}

// dump is what sfdisk says of the partitions.
func dump(t *testing.T, dev string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(fstest.Run(t, "sfdisk", "-d", dev)) {
		if key, _, _ := strings.Cut(line, ":"); key != "device" && key != "last-lba" {
			b.WriteString(strings.ReplaceAll(line, dev, "disk"))
		}
	}
	return b.String()
}

// untouched makes sure that every byte outside of the extents is what it was, but for a GPT that was
// moved: its primary, and the backup at the end.
func untouched(t *testing.T, torrent, before, after string, l layout, grown int64) {
	t.Helper()
	b, err := os.ReadFile(torrent)
	if err != nil {
		t.Fatal(err)
	}
	tor, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	end := l.size + grown
	if grown > 0 && l.table == "gpt" {
		end -= (16<<10 + l.sector)
	}
	at := int64(0)
	for e := range tor.Map.All() {
		equal(t, before, after, at, min(e.Offset, end))
		at = e.End()
	}
	equal(t, before, after, at, end)
}

// equal compares a range of two files.
func equal(t *testing.T, a, b string, from, to int64) {
	t.Helper()
	if from >= to {
		return
	}
	read := func(path string) []byte {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := make([]byte, to-from)
		if _, err := f.ReadAt(p, from); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !bytes.Equal(read(a), read(b)) {
		t.Errorf("%#x to %#x, in no extent, was written", from, to)
	}
}

// receive deploys by a seed and a receiver.
func receive(t *testing.T, torrent, from, to string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(tools, "ezio-seed"), "-t", torrent, "-d", from,
		"--listen", "127.0.0.1:0", "--tracker-listen", "127.0.0.1:0", "--progress", "json", "--check")
	out, err := c.StdoutPipe()
	var said bytes.Buffer
	c.Stderr = &said
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	}()
	port := 0
	for lines := bufio.NewScanner(out); port == 0 && lines.Scan(); {
		var e struct {
			Port int `json:"tracker_port"`
		}
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			port = e.Port
		}
	}
	if port == 0 {
		_ = c.Wait()
		t.Fatalf("ezio-seed: %s", &said)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	ezio(t, nil, "ezio-recv", "-q", "-t", fmt.Sprintf("http://127.0.0.1:%d/a.torrent", port), "-d", to, "--force",
		"--listen", "127.0.0.1:0", "--seed-idle", "0", "--verify-after")
}

// ezio runs one of our programs to its end and returns its two outputs.
func ezio(t *testing.T, stdin []byte, name string, args ...string) (stdout []byte, stderr string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(tools, name), args...)
	c.WaitDelay = time.Minute
	var out, said bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, &said)
	}
	return out.Bytes(), said.String()
}

// create makes a file of holes.
func create(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// loop attaches a loop device to a range of a file; detach takes it away before the test's end.
func loop(t *testing.T, path string, offset, size, sector int64) string {
	t.Helper()
	dev := strings.TrimSpace(fstest.Run(t, "losetup", "--find", "--show", "--offset", fmt.Sprint(offset), "--sizelimit", fmt.Sprint(size),
		"--sector-size", fmt.Sprint(sector), path))
	t.Cleanup(func() {
		// It may have been detached already, and be someone else's by now.
		out, err := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", path).Output()
		if err == nil && strings.Contains(string(out)+"\n", dev+"\n") {
			_ = exec.Command("losetup", "-d", dev).Run()
		}
	})
	return dev
}

func detach(t *testing.T, dev string) {
	t.Helper()
	fstest.Run(t, "losetup", "-d", dev)
}
