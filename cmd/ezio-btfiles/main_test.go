// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ezio/lib/btinfo"
	"ezio/lib/cli"
	"ezio/lib/extent"
	"ezio/lib/partclone/fstest"
)

func TestMain(m *testing.M) { fstest.Main(m) }

// tool runs the tool as a user types it.
func tool(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = run(t.Context(), append([]string{"ezio-btfiles"}, args...), stdin, &o, &e)
	return o.String(), e.String(), err
}

func ext4(t *testing.T) (source, image string) {
	t.Helper()
	source = fstest.Named(t, "ext4-4k").Make(t)
	image = fstest.Run(t, "partclone.extfs", "-c", "-q", "-f", "0", "-L", "/dev/null", "-s", source, "-o", "-")
	return source, image
}

// A partclone image on stdin and its source give the same torrent.info, but for the source's name.
func TestCapture(t *testing.T) {
	source, image := ext4(t)
	fromStdin, said, err := tool(t, strings.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "captured ") {
		t.Errorf("said %q", said)
	}
	info, err := btinfo.Read(strings.NewReader(fromStdin))
	if err != nil || info.Check() != nil || info.DeviceSize != fstest.Size || info.Filesystem != "EXTFS" {
		t.Errorf("%+v, %v", info, err)
	}
	fromSource, said, err := tool(t, nil, "--source", source, "-q")
	if err != nil || said != "" {
		t.Errorf("%v, said %q", err, said)
	}
	if got := strings.Replace(fromSource, "source: "+source+"\n", "", 1); got != fromStdin {
		t.Error("standard input and source differ")
	}

	parent := t.TempDir()
	dir, raw := filepath.Join(parent, "t"), filepath.Join(parent, "raw.img")
	out, _, err := tool(t, strings.NewReader(image), "-o", dir, "--image", raw, "--piece-length", "1MiB", "-q")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "torrent.info"))
	if err != nil || string(b) != out || !strings.Contains(out, "piece_length: 1048576\n") {
		t.Errorf("torrent.info in the directory: %v", err)
	}
	if st, err := os.Stat(raw); err != nil || st.Size() != fstest.Size {
		t.Errorf("raw image: %v", err)
	}
	out, _, err = tool(t, nil, "-s", source, "--raw", "-q")
	if want := "offset: " + extent.Name(0) + "\nlength: " + extent.Name(fstest.Size) + "\n"; err != nil || !strings.Contains(out, want) {
		t.Errorf("raw: %v", err)
	}
}

func TestProgressJSON(t *testing.T) {
	_, image := ext4(t)
	_, events, err := tool(t, strings.NewReader(image), "--progress", "json", "-q")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(events) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if n := len(names); n == 0 || names[n-1] != e.Event {
			names = append(names, e.Event)
		}
	}
	if got := strings.Join(names, " "); got != "start progress done exit" {
		t.Errorf("events %s", got)
	}
}

// Every failure has its exit code, a hint where something can be done, and no torrent.info.
func TestFailures(t *testing.T) {
	source, image := ext4(t)
	dev := fstest.Loop(t, source)
	fstest.Mount(t, "ext4", dev)
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for _, tt := range []struct {
		name       string
		stdin      io.Reader
		args       []string
		code       int
		want, hint string
	}{
		{"terminal", terminal, nil, cli.Usage, "standard input is a terminal", "-s DEVICE"},
		{"argument", nil, []string{"/dev/sda1"}, cli.Usage, `unexpected argument "/dev/sda1"`, "--help"},
		{"unknown flag", nil, []string{"--no-such"}, cli.Usage, "no-such", "--help"},
		{"piece length", nil, []string{"-s", source, "--piece-length", "1000000"}, cli.Usage, "not a power of two", ""},
		{"no size", nil, []string{"-s", source, "--piece-length", "big"}, cli.Usage, "is not a size", "--help"},
		{"unknown fs", nil, []string{"-s", source, "--fs", "zfs"}, cli.Usage, "--fs zfs", "ext4, xfs"},
		{"fs and raw", nil, []string{"-s", source, "--fs", "ext4", "--raw"}, cli.Usage, "exclude each other", ""},
		{"raw without source", strings.NewReader(image), []string{"--raw"}, cli.Usage, "-s is missing", ""},
		{"progress", nil, []string{"-s", source, "--progress", "x"}, cli.Usage, "--progress", ""},
		{"empty", strings.NewReader(""), nil, cli.Failed, "standard input: partclone image: the input is empty", "partclone.X -c"},
		{"cut", strings.NewReader(image[:len(image)/2]), nil, cli.Failed, "unexpected EOF", ""},
		{"compressed", strings.NewReader("\x1f\x8b\x08"), nil, cli.Failed, "zcat", ""},
		{"torrent.info", strings.NewReader("block_size: 4096\n"), nil, cli.Failed, "ezio-mktorrent", ""},
		{"no source", nil, []string{"-s", "/nonexistent"}, cli.Refused, "does not exist", ""},
		{"directory", nil, []string{"-s", "/"}, cli.Refused, "directory", ""},
		{"mounted", nil, []string{"-s", dev}, cli.Refused, "mounted read-write", "--force"},
		{"wrong fs", nil, []string{"-s", dev, "--force", "--fs", "minix"}, cli.Failed, "its superblock is not one of this filesystem", "--raw"},
		{"output exists", strings.NewReader(image), []string{"-o", "/etc"}, cli.Refused, "files in it", "does not exist yet"},
		{"image exists", strings.NewReader(image), []string{"--image", source}, cli.Refused, "exists already", "does not exist yet"},
	} {
		out, _, err := tool(t, tt.stdin, append(tt.args, "-q")...)
		if err == nil || cli.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) || !strings.Contains(cli.Hint(err), tt.hint) {
			t.Errorf("%s: code %d, %v, hint %q", tt.name, cli.Code(err), err, cli.Hint(err))
		}
		if out != "" {
			t.Errorf("%s: %d bytes on standard output", tt.name, len(out))
		}
	}
}

// A torrent.info that nobody can take is a failure, not silence.
func TestStdoutFull(t *testing.T) {
	_, image := ext4(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	err = run(t.Context(), []string{"ezio-btfiles", "-q"}, strings.NewReader(image), full, io.Discard)
	if cli.Code(err) != cli.Failed {
		t.Errorf("%v", err)
	}
}
