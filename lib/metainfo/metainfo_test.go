// SPDX-License-Identifier: GPL-2.0-or-later

package metainfo

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

func good() Spec {
	return Spec{
		Name:        "sda1",
		CreatedBy:   "CloneZilla",
		Comment:     "room 12",
		Created:     time.Unix(1700000000, 0),
		Trackers:    []string{"http://a:6969/announce", "udp://b:1/announce"},
		PieceLength: 16 << 20,
		Extents:     []extent.Extent{{Offset: 0, Length: 16 << 20}, {Offset: 64 << 20, Length: 4096}},
		Pieces:      []piece.Hash{{1}, {2}},
		Disk:        Disk{DeviceSize: 1 << 30, BlockSize: 4096, Filesystem: "EXTFS", Source: "/dev/sda1", PartitionTable: "gpt"},
	}
}

func TestEncodeParse(t *testing.T) {
	s := good()
	b, tor, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if tor.Name != "sda1" || tor.Private || tor.CreatedBy != "CloneZilla" || tor.Comment != "room 12" {
		t.Errorf("texts: %+v", tor)
	}
	if !reflect.DeepEqual(tor.Extents, s.Extents) || !reflect.DeepEqual(tor.Pieces, s.Pieces) || tor.Disk != s.Disk {
		t.Errorf("content: %+v", tor)
	}
	if want := [][]string{{"http://a:6969/announce"}, {"udp://b:1/announce"}}; !reflect.DeepEqual(tor.Trackers, want) {
		t.Errorf("trackers %v", tor.Trackers)
	}
	if tor.NeedSize() != 1<<30 || tor.Alignment() != 4096 {
		t.Errorf("needs %d, aligned to %d", tor.NeedSize(), tor.Alignment())
	}
	if sum := sha1.Sum(tor.InfoBytes()); InfoHash(sum) != tor.InfoHash || !bytes.Contains(b, tor.InfoBytes()) {
		t.Error("infohash is not that of the info bytes")
	}
	// The very bytes libtorrent's create_torrent writes for such an info dict.
	want := "d5:filesld6:lengthi16777216e4:pathl32:00000000000000000000000000000000eed6:lengthi4096e4:pathl32:00000000000000000000000004000000eee4:name4:sda112:piece lengthi16777216e6:pieces40:"
	if !strings.HasPrefix(string(tor.InfoBytes()), want) {
		t.Errorf("info dict %q", tor.InfoBytes()[:len(want)])
	}
}

func TestPrivateChangesTheInfohash(t *testing.T) {
	s := good()
	_, public, _ := s.Encode()
	s.Private = true
	_, private, err := s.Encode()
	if err != nil || !private.Private || private.InfoHash == public.InfoHash {
		t.Fatalf("private %v, %v", private, err)
	}
}

func TestWithAnnounceLeavesTheRest(t *testing.T) {
	_, tor, err := good().Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := tor.WithAnnounce("http://seed:6969/announce")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"http://seed:6969/announce"}, {"http://a:6969/announce"}, {"udp://b:1/announce"}}
	if !reflect.DeepEqual(again.Trackers, want) || again.InfoHash != tor.InfoHash || again.Disk != tor.Disk || again.Comment != tor.Comment {
		t.Fatalf("%v %v", again.Trackers, again.Disk)
	}
	// Naming one that is there already moves it to the front.
	b, _ = tor.WithAnnounce("udp://b:1/announce")
	again, _ = Parse(b)
	if want := [][]string{{"udp://b:1/announce"}, {"http://a:6969/announce"}}; !reflect.DeepEqual(again.Trackers, want) {
		t.Fatalf("%v", again.Trackers)
	}
}

// bad builds the info dict by hand, so that it can lie.
func bad(files, pieceLength, pieces, rest string) string {
	return fmt.Sprintf("d4:infod5:filesl%se4:name1:x12:piece length%s6:pieces%see%s", files, pieceLength, pieces, "") + rest
}

func file(path string, length int64) string {
	return fmt.Sprintf("d6:lengthi%de4:pathl%d:%see", length, len(path), path)
}

func TestHostileTorrentsAreRefused(t *testing.T) {
	ok := func(files string) string {
		return bad(files, "i16384e", "20:aaaaaaaaaaaaaaaaaaaa", "")
	}
	if _, err := Parse([]byte(ok(file("0", 100)))); err != nil {
		t.Fatalf("the innocent one is refused: %v", err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "empty"},
		"html":                  {"<html>404</html>", "not a torrent"},
		"a list":                {"le", "not a torrent"},
		"no info":               {"d1:ai1ee", "no info dict"},
		"info is a number":      {"d4:infoi1ee", "not a dict"},
		"trailing byte":         {ok(file("0", 100)) + "x", "1 bytes after"},
		"cut":                   {ok(file("0", 100))[:60], "middle"},
		"single file":           {"d4:infod6:lengthi100e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee", "no list of files"},
		"path up":               {ok(file("../../etc/passwd", 100)), "hexadecimal"},
		"path of two parts":     {ok("d6:lengthi100e4:pathl2:..1:0ee"), "2 parts"},
		"path of none":          {ok("d6:lengthi100e4:pathlee"), "0 parts"},
		"path not hex":          {ok(file("bootsect", 100)), "hexadecimal"},
		"path with a prefix":    {ok(file("0x10", 100)), "hexadecimal"},
		"negative path":         {ok(file("-1", 100)), "hexadecimal"},
		"path beyond 63 bits":   {ok(file("8000000000000000", 100)), "63 bits"},
		"negative length":       {ok(file("0", -100)), "negative length"},
		"length overflows":      {ok(file("1", math.MaxInt64)), "63 bits"},
		"overlap":               {ok(file("0", 100) + file("63", 100)), "begins before"},
		"descending":            {ok(file("100", 100) + file("0", 100)), "begins before"},
		"no data":               {ok(file("0", 0)), "no data"},
		"no files":              {ok(""), "no list of files"},
		"piece length odd":      {bad(file("0", 100), "i16385e", "20:aaaaaaaaaaaaaaaaaaaa", ""), "power of two"},
		"piece length huge":     {bad(file("0", 100), "i4611686018427387904e", "20:aaaaaaaaaaaaaaaaaaaa", ""), "not between"},
		"piece length negative": {bad(file("0", 100), "i-16384e", "20:aaaaaaaaaaaaaaaaaaaa", ""), "not between"},
		"piece length a text":   {bad(file("0", 100), "5:16384", "20:aaaaaaaaaaaaaaaaaaaa", ""), "info dict"},
		"too few pieces":        {bad(file("0", 16385), "i16384e", "20:aaaaaaaaaaaaaaaaaaaa", ""), "need 40"},
		"too many pieces":       {bad(file("0", 100), "i16384e", "40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""), "need 20"},
		"half a piece sum":      {bad(file("0", 100), "i16384e", "19:aaaaaaaaaaaaaaaaaaa", ""), "need 20"},
		"pieces beyond a limit": {bad(file("0", math.MaxInt64), "i16384e", "20:aaaaaaaaaaaaaaaaaaaa", ""), "more than"},
		"deep nesting":          {"d4:info" + strings.Repeat("l", 1000) + strings.Repeat("e", 1000) + "e", "nested deeper"},
		"deep dicts":            {strings.Repeat("d1:a", 1_000_000), "nested deeper"},
		"key twice":             {"d1:ai1e1:ai2ee", "twice"},
		"key twice, unsorted":   {"d1:bi1e1:ai2e1:bi3ee", "twice"},
		"leading zero":          {"d1:ai01ee", "bad integer"},
		"minus zero":            {"d1:ai-0ee", "bad integer"},
		"integer of 65 bits":    {"d1:ai18446744073709551616ee", "bad integer"},
		"endless integer":       {"d1:ai" + strings.Repeat("9", 1000), "integer without end"},
		"string beyond the end": {"d1:a99999999:xe", "middle"},
		"string of 2^63":        {"d1:a9223372036854775808:xe", "string"},
		"negative string":       {"d1:a-1:xe", "unexpected byte"},
		"escape in the name":    {"d4:infod5:filesl" + file("0", 1) + "e4:name5:a\x1b[2J12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee", "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse([]byte(c.text))
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20+40*uint64(len(c.text)) {
				t.Errorf("refusing %d bytes allocated %d", len(c.text), got)
			}
		})
	}
}

func TestDiskDictIsChecked(t *testing.T) {
	with := func(ezio string) error {
		text := "d4:ezio" + ezio + "4:infod5:filesl" + file("1000", 4096) + "e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
		_, err := Parse([]byte(text))
		return err
	}
	for _, ok := range []string{"de", "d11:device sizei8192ee", "d6:futurei1ee",
		"d10:block sizei512e11:device sizei8192e15:partition table3:gpte"} {
		if err := with(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, no := range []string{"d11:device sizei8191ee", "d11:device sizei-1ee", "d10:block sizei-1ee", "i1e", "d11:device size1:xe", "d6:source3:a\x1bbe",
		"d15:partition table3:gpte", "d10:block sizei512e15:partition table3:gpte", "d11:device sizei8192e15:partition table3:gpte",
		"d10:block sizei500e11:device sizei8192e15:partition table3:gpte", "d10:block sizei512e11:device sizei8192e15:partition table1:\x1be"} {
		if err := with(no); err == nil {
			t.Errorf("%q is accepted", no)
		}
	}
}

func TestUnsortedKeysAreTolerated(t *testing.T) {
	text := "d7:comment2:hi4:infod4:name1:x5:filesl" + file("0", 1) + "e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae8:announce10:http://a/be"
	tor, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if tor.Comment != "hi" || tor.Trackers[0][0] != "http://a/b" {
		t.Fatalf("%+v", tor)
	}
}

func FuzzParse(f *testing.F) {
	b, _, err := good().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(bad(file("0", 100), "i16384e", "20:aaaaaaaaaaaaaaaaaaaa", "")))
	f.Add([]byte("d4:ezio" + "d11:device sizei8191ee" + "4:infodee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tor, err := Parse(b)
		if err != nil {
			return
		}
		if len(tor.Pieces) != tor.Layout.Count() || tor.Map.Size() != tor.Layout.Size || tor.NeedSize() < tor.Map.End() {
			t.Fatalf("inconsistent: %+v", tor)
		}
		again, err := tor.WithAnnounce("http://x/announce")
		if err != nil {
			t.Fatal(err)
		}
		if u, err := Parse(again); err != nil || u.InfoHash != tor.InfoHash {
			t.Fatalf("rewritten: %v", err)
		}
	})
}

// A seed's torrent says where to report to; the rest of it, infohash included, is as it was.
func TestWithReport(t *testing.T) {
	_, was, err := good().Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := was.WithReport("http://seed:6969/announce", "http://seed:6969/report")
	if err != nil {
		t.Fatal(err)
	}
	is, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if is.Report != "http://seed:6969/report" || is.Disk != was.Disk || is.InfoHash != was.InfoHash || is.Trackers[0][0] != "http://seed:6969/announce" {
		t.Errorf("%q, %+v, %v, %v", is.Report, is.Disk, is.InfoHash, is.Trackers)
	}
	if was.Report != "" {
		t.Error("the torrent itself was changed")
	}
}
