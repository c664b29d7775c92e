// SPDX-License-Identifier: GPL-2.0-or-later

package btinfo

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

const sum = "sha1: 2869c305281b7dcde9133a1007f64730ba0795db\n"

func rec(off, n int64) string {
	return fmt.Sprintf("offset: %032x\nlength: %032x\n", off, n)
}

// The three dialects of the same capture: 16 MiB + 1 MiB in two pieces.
var dialects = map[string]string{
	"0.3.18": "block_size: 4096\nblocks_total: 131072\n" + rec(0, 16<<20) + rec(64<<20, 1<<20) + sum + sum,
	"0.3.12": rec(0, 16<<20) + rec(64<<20, 1<<20) + sum + sum,
	// One record a run, a first one of length 0, and a sum between an offset and its length.
	"2017 fork": rec(0, 0) + rec(0, 16<<20) + "offset: 00000000000000000000000004000000\n" + sum +
		"length: 00000000000000000000000000100000\n" + sum,
}

func TestDialects(t *testing.T) {
	for name, text := range dialects {
		for _, crlf := range []bool{false, true} {
			if crlf {
				text = strings.ReplaceAll(text, "\n", "\r\n")
			}
			in, err := Read(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := in.Check(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m, _ := in.Map()
			if m.Size() != 17<<20 || m.Len() != 2 || len(in.Pieces) != 2 {
				t.Errorf("%s: %d bytes, %d extents, %d sums", name, m.Size(), m.Len(), len(in.Pieces))
			}
			if in.PieceLength != 16<<20 {
				t.Errorf("%s: piece length %d", name, in.PieceLength)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	good := dialects["0.3.18"]
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "no offset and length records"},
		"only sums":             {sum, "no offset and length records"},
		"no length":             {good + "offset: 00000000000000000000000005000000\n", "3 offsets and 2 lengths"},
		"too few sums":          {strings.TrimSuffix(good, sum), "1 sha1 lines, but 17825792 bytes in pieces of 16777216 need 2"},
		"too many sums":         {good + sum, "3 sha1 lines"},
		"no sums":               {strings.ReplaceAll(good, sum, ""), "no sha1 lines"},
		"cut in a sum":          {strings.TrimSuffix(good, "0795db\n"), "sha1 of 34 digits"},
		"overlap":               {rec(0, 4096) + rec(4095, 1) + sum, "extent 2"},
		"descending":            {rec(4096, 4096) + rec(0, 4096) + sum, "extent 2"},
		"offset beyond 63 bits": {"offset: 80000000000000000000000000000000\nlength: 1\n" + sum, "63 bits"},
		"end beyond 63 bits":    {"offset: 7fffffffffffffff\nlength: 2\n" + sum, "63 bits"},
		"negative":              {"offset: -1\nlength: 2\n" + sum, "hexadecimal"},
		"beyond the device":     {"device_size: 4096\n" + rec(0, 8192) + sum, "beyond the device's end"},
		"beyond the blocks":     {"block_size: 512\nblocks_total: 8\n" + rec(0, 8192) + sum, "beyond the device's end"},
		"blocks overflow":       {"block_size: 4294967296\nblocks_total: 9223372036854775807\n" + rec(0, 1) + sum, "63 bits"},
		"zero block size":       {"block_size: 0\n" + rec(0, 1) + sum, "positive"},
		"cut in a length":       {rec(0, 16<<20) + sum + "offset: 20000000\nlength: 000001", "middle of the line"},
		"joined streams":        {good + "block_size: 512\n", "was 4096 before"},
		"piece length":          {"piece_length: 1000000\n" + rec(0, 1) + sum, "power of two"},
		"piece length huge":     {"piece_length: 1099511627776\n" + rec(0, 1) + sum, "not between"},
		"partclone image":       {"partclone-image\x00\x00\x00\n", "ezio-btfiles"},
		"binary":                {"\x00\x01\x02\n", "key: value"},
		"a long line":           {strings.Repeat("x", 1<<20), "line 1"},
		"prose":                 {"Partclone v0.3.23 http://partclone.org\n", "line 1"},
		"only empty records":    {rec(0, 0), "no offset and length records"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := Read(strings.NewReader(c.text))
			if err == nil {
				err = in.Check()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A stream cut anywhere must not pass for whole: ezio-mktorrent relies on it when a capture died.
func TestCutAnywhereIsNotWhole(t *testing.T) {
	for name, text := range dialects {
		for i := range len(text) - 1 { // without only its last newline it is whole
			in, err := Read(strings.NewReader(text[:i]))
			if err == nil && in.Check() == nil {
				t.Fatalf("%s cut after %d of %d bytes is accepted", name, i, len(text))
			}
		}
	}
}

func TestUnknownKeysAndOurOwn(t *testing.T) {
	in, err := Read(strings.NewReader("piece_length: 262144\ndevice_size: 1000000\nfilesystem: EXTFS\nsource: /dev/sda1\nfuture_key: 7\n" + rec(0, 300000) + sum + sum))
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	if in.PieceLength != 262144 || in.End() != 1000000 || in.Filesystem != "EXTFS" || in.Source != "/dev/sda1" {
		t.Fatalf("%+v", in)
	}
}

func TestWriteReadsBack(t *testing.T) {
	in := &Info{
		BlockSize: 4096, BlocksTotal: 1000, PieceLength: 1 << 20, DeviceSize: 4096000,
		Filesystem: "XFS", PartitionTable: "gpt", Source: "/dev/disk with\nnewline",
		Records: []extent.Extent{{Offset: 0, Length: 1 << 20}, {Offset: 2 << 20, Length: 5}},
		Pieces:  []piece.Hash{{1}, {2}},
	}
	var b bytes.Buffer
	if err := in.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	in.Source = "/dev/disk with?newline"
	if !reflect.DeepEqual(got, in) {
		t.Fatalf("got %+v\nwant %+v", got, in)
	}
	if err := got.Check(); err != nil {
		t.Fatal(err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestReadErrorIsNotTheEnd(t *testing.T) {
	if _, err := Read(brokenReader{}); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Fatalf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range dialects {
		f.Add([]byte(text))
	}
	f.Add([]byte("offset: ffffffffffffffffffffffffffffffff\nlength: 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := Read(bytes.NewReader(b))
		if err != nil || in.Check() != nil {
			return
		}
		var out bytes.Buffer
		if err := in.Write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if err := again.Check(); err != nil || !reflect.DeepEqual(again.Records, in.Records) || !reflect.DeepEqual(again.Pieces, in.Pieces) {
			t.Fatalf("round trip changed it: %v", err)
		}
	})
}
