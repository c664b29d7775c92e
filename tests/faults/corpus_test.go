// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A malicious input is one that a tool must refuse. The name says how.
type malicious struct {
	name string
	data []byte
}

// sum is one piece sum, bencoded.
var sum = "20:" + strings.Repeat("\xaa", 20)

// lie is a torrent with these parts.
func lie(name, files, pieceLength, pieces, root string) malicious {
	return malicious{name, []byte("d" + root + "4:infod5:filesl" + files + "e4:name1:x12:piece length" + pieceLength + "6:pieces" + pieces + "ee")}
}

func oneFile(path, length string) string {
	return fmt.Sprintf("d6:lengthi%se4:pathl%d:%see", length, len(path), path)
}

func torrents(whole []byte, rng *rand.Rand) []malicious {
	ok := oneFile("0", "100")
	list := []malicious{
		{"empty", nil},
		{"text", []byte("<html>")},
		{"nothing inside", []byte("de")},
		{"info is a list", []byte("d4:infolee")},
		{"info is a string", []byte("d4:info3:abce")},
		{"lists of lists", append([]byte("d4:info"), bytes.Repeat([]byte("l"), 8<<20)...)},
		{"dicts of dicts", append([]byte("d4:info"), bytes.Repeat([]byte("d1:a"), 1<<20)...)},
		{"8 MiB of zeros", make([]byte, 8<<20)},
		{"a million empty lists", []byte("d4:infol" + strings.Repeat("le", 1<<20) + "ee")},
		{"string of 4 GiB", []byte("d4:info4294967296:abce")},
		{"string of 2^63 bytes", []byte("d4:info9223372036854775808:abce")},
		{"negative string", []byte("d4:info-1:abce")},
		{"length with zeros", []byte("d4:info03:abce")},
		{"duplicate info", append(append([]byte{}, whole[:len(whole)-1]...), "4:infodee"...)},
		lie("duplicate files", ok+"e5:filesl"+ok, "i16384e", sum, ""),
		lie("negative length", oneFile("0", "-100"), "i16384e", sum, ""),
		lie("minus zero", oneFile("0", "-0"), "i16384e", sum, ""),
		lie("length beyond 64 bits", oneFile("0", "99999999999999999999"), "i16384e", sum, ""),
		lie("length 2^63-1", oneFile("0", "9223372036854775807"), "i16384e", sum, ""),
		lie("end beyond 2^63", oneFile("7fffffffffffffff", "100"), "i16384e", sum, ""),
		lie("offset 2^63", oneFile("8000000000000000", "100"), "i16384e", sum, ""),
		lie("offset of 32 f", oneFile(strings.Repeat("f", 32), "100"), "i16384e", sum, ""),
		lie("negative offset", oneFile("-1", "100"), "i16384e", sum, ""),
		lie("offset with a plus", oneFile("+1", "100"), "i16384e", sum, ""),
		lie("offset with 0x", oneFile("0x10", "100"), "i16384e", sum, ""),
		lie("offset with a blank", oneFile(" 1", "100"), "i16384e", sum, ""),
		lie("offset in decimal point", oneFile("1.5", "100"), "i16384e", sum, ""),
		lie("no offset", oneFile("", "100"), "i16384e", sum, ""),
		lie("path that climbs", "d6:lengthi100e4:pathl2:..6:passwdee", "i16384e", sum, ""),
		lie("path with slashes", oneFile("../../etc/passwd", "100"), "i16384e", sum, ""),
		lie("absolute path", oneFile("/etc/passwd", "100"), "i16384e", sum, ""),
		lie("path with NUL", oneFile("0\x00", "100"), "i16384e", sum, ""),
		lie("empty path", "d6:lengthi100e4:pathlee", "i16384e", sum, ""),
		lie("path is a string", "d6:lengthi100e4:path1:0e", "i16384e", sum, ""),
		lie("no path", "d6:lengthi100ee", "i16384e", sum, ""),
		lie("no files", "", "i16384e", sum, ""),
		lie("overlap", oneFile("0", "100")+oneFile("10", "100"), "i16384e", sum, ""),
		lie("same twice", ok+ok, "i16384e", sum, ""),
		lie("descending", oneFile("1000", "50")+oneFile("0", "50"), "i16384e", sum, ""),
		lie("nothing but empty extents", oneFile("0", "0")+oneFile("5", "0"), "i16384e", "0:", ""),
		lie("piece length 0", ok, "i0e", sum, ""),
		lie("piece length -16384", ok, "i-16384e", sum, ""),
		lie("piece length 16383", ok, "i16383e", sum, ""),
		lie("piece length 1", ok, "i1e", sum, ""),
		lie("piece length 2^40", ok, "i1099511627776e", sum, ""),
		lie("piece length 2^63", ok, "i9223372036854775808e", sum, ""),
		lie("piece length is text", ok, "5:16384", sum, ""),
		lie("one sum too many", ok, "i16384e", "40:"+strings.Repeat("\xaa", 40), ""),
		lie("no sums", ok, "i16384e", "0:", ""),
		lie("half a sum", ok, "i16384e", "10:"+strings.Repeat("\xaa", 10), ""),
		lie("sums for 8 EiB", oneFile("0", "9223372036854775806"), "i16384e", sum, ""),
		lie("more extents than sums", strings.Repeat(oneFile("0", "0"), 200000)+oneFile("0", "9999999999"), "i16384e", sum, ""),
		lie("device smaller than its extents", ok, "i16384e", sum, "4:eziod11:device sizei50ee"),
		lie("negative device", ok, "i16384e", sum, "4:eziod11:device sizei-1ee"),
		lie("ezio is a list", ok, "i16384e", sum, "4:eziole"),
		lie("escape sequences in the source", ok, "i16384e", sum, "4:eziod6:source5:\x1b[2J\ae"),
		{"bytes after the end", append(bytes.Clone(whole), 'x')},
		{"another torrent after the end", append(bytes.Clone(whole), whole...)},
		{"a newline before", append([]byte("\n"), whole...)},
	}
	for range 25 {
		n := rng.IntN(len(whole))
		list = append(list, malicious{fmt.Sprintf("cut after %d bytes", n), whole[:n]})
	}
	return list
}

func infos(rng *rand.Rand) []malicious {
	const sha = "sha1: 2869c305281b7dcde9133a1007f64730ba0795db\n"
	whole := "block_size: 4096\nblocks_total: 1024\noffset: 0\nlength: 100000\noffset: 200000\nlength: 1000\n" + sha
	var list []malicious
	for name, text := range map[string]string{
		"empty":                 "",
		"binary":                strings.Repeat("\x00\xff", 1000),
		"a line of 1 MiB":       strings.Repeat("a", 1<<20) + ": x\n" + whole,
		"no sums":               "offset: 0\nlength: 1000\noffset: 2000\n" + sha,
		"lengths without end":   "offset: 0\nlength: 1000\n" + strings.Repeat("length: 1\n", 100000) + sha,
		"overlap":               "offset: 0\nlength: 1000\noffset: fff\nlength: 1000\n" + sha,
		"descending":            "offset: 2000\nlength: 1000\noffset: 0\nlength: 1000\n" + sha,
		"beyond 2^63":           "offset: 7fffffffffffffff\nlength: 2\n" + sha,
		"33 digits":             "offset: " + strings.Repeat("f", 33) + "\nlength: 2\n" + sha,
		"negative":              "offset: -1\nlength: 1000\n" + sha,
		"beyond the device":     "block_size: 4096\nblocks_total: 1\noffset: 0\nlength: 2000\n" + sha,
		"blocks beyond 2^63":    "block_size: 9223372036854775807\nblocks_total: 9223372036854775807\noffset: 0\nlength: 2000\n" + sha,
		"two sizes":             "block_size: 4096\nblock_size: 512\noffset: 0\nlength: 2000\n" + sha,
		"piece length 3":        "piece_length: 3\noffset: 0\nlength: 2000\n" + sha,
		"piece length 0":        "piece_length: 0\noffset: 0\nlength: 2000\n" + sha,
		"one sum too many":      whole + sha,
		"a short sum":           "offset: 0\nlength: 1000\nsha1: 2869\n",
		"a sum that is no hex":  "offset: 0\nlength: 1000\nsha1: " + strings.Repeat("z", 40) + "\n",
		"8 EiB and one sum":     "offset: 0\nlength: 7fffffffffffff00\n" + sha,
		"a partclone image":     "partclone-image",
		"two streams, joined":   whole + whole,
		"nothing but extent 0s": strings.Repeat("offset: 0\nlength: 0\n", 1000) + sha,
	} {
		list = append(list, malicious{name, []byte(text)})
	}
	for range 15 {
		n := rng.IntN(len(whole) - 2)
		list = append(list, malicious{fmt.Sprintf("cut after %d bytes", n), []byte(whole[:n])})
	}
	return list
}

// images are partclone images that lie. Where the header's checksum would give them away it is
// made good again.
func images(t testing.TB, rng *rand.Rand) []malicious {
	v2, v1 := testImage(t, "minix-0002"), testImage(t, "minix-0001")
	var list []malicious
	header := func(name string, at int, value uint64, width int) {
		b := bytes.Clone(v2)
		var raw [8]byte
		binary.LittleEndian.PutUint64(raw[:], value)
		copy(b[at:], raw[:width])
		binary.LittleEndian.PutUint32(b[106:], ^crc32.ChecksumIEEE(b[:106]))
		list = append(list, malicious{name, b})
	}
	header("block size 0", 84, 0, 4)
	header("block size 4 GiB", 84, 1<<32-1, 4)
	header("2^63 blocks", 60, 1<<63, 8)
	header("2^62 blocks", 60, 1<<62, 8)
	header("2^40 blocks", 60, 1<<40, 8)
	header("more used than there are", 76, 1<<40, 8)
	header("device of 2^63 bytes", 52, 1<<63, 8)
	header("unknown checksum", 96, 0x99, 2)
	header("checksum of 60000 bytes", 98, 60000, 2)
	header("checksum for no block", 100, 0, 4)
	header("unknown bitmap", 105, 0x77, 1)
	header("no bitmap", 105, 0, 1)
	header("big-endian", 34, 0xdec0, 2)
	header("name with an escape", 36, 0x1b, 1)
	header("format 0003", 33, '3', 1)
	for range 15 {
		n := rng.IntN(len(v2) - 1)
		list = append(list, malicious{fmt.Sprintf("cut after %d bytes", n), v2[:n]})
		n = rng.IntN(len(v1) - 1)
		list = append(list, malicious{fmt.Sprintf("0001 cut after %d bytes", n), v1[:n]})
		b := bytes.Clone(v2)
		n = rng.IntN(110)
		b[n] ^= 1 << rng.IntN(8)
		list = append(list, malicious{fmt.Sprintf("header bit flipped in byte %d", n), b})
	}
	b := bytes.Clone(v2)
	b[115] ^= 4
	return append(list, malicious{"bitmap bit flipped", b})
}

func testImage(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("../../lib/partclone/testdata/" + name + ".gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	return b
}

// Every tool refuses every input that lies: within a second, within 64 MiB, and without a trace.
func TestMaliciousInputs(t *testing.T) {
	im := newImage(t, 3, 256<<10)
	rng := rand.New(rand.NewPCG(12, 12))
	_, procs := cgroup(t, 64*mib)
	run := func(t *testing.T, in malicious, args ...string) (*proc, time.Duration) {
		dir := t.TempDir()
		path := filepath.Join(dir, "in")
		must(t, os.WriteFile(path, in.data, 0o600))
		args[0] = filepath.Join(bin, args[0])
		script := fmt.Sprintf(`cd %s && echo $$ >%s && exec "$@" <in`, dir, procs)
		began := time.Now()
		p := start(t, append([]string{"sh", "-c", script, "sh"}, args...)...)
		p.wait()
		took := p.end.Sub(began)
		left, err := os.ReadDir(dir)
		must(t, err)
		if len(left) != 1 {
			t.Errorf("%s: something was made: %v", in.name, left)
		}
		return p, took
	}
	total := 0
	var slowest time.Duration
	for _, c := range []struct {
		kind string
		list []malicious
		args []string
	}{
		{"torrent", torrents(readFile(t, im.torrent), rng), []string{"ezio-recv", "-t", "-", "-d", "target", "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:9"}},
		{"torrent.info", infos(rng), []string{"ezio-mktorrent", "-o", "out.torrent"}},
		{"partclone image", images(t, rng), []string{"ezio-btfiles", "-q", "-o", "out", "--image", "raw"}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			for _, in := range c.list {
				p, took := run(t, in, append([]string{}, c.args...)...)
				// A busy machine may be the cause once, and not again and again.
				for try := 1; took > time.Second && try < 10; try++ {
					_, again := run(t, in, append([]string{}, c.args...)...)
					took = min(took, again)
				}
				msg := p.err.String()
				switch {
				case p.code != 1 || p.out.String() != "" || strings.Count(msg, "\n") > 2:
					t.Errorf("%s: exit code %d: %s", in.name, p.code, tail(msg))
				case strings.Contains(msg, "of memory"), strings.Contains(msg, "goroutine"), strings.Contains(msg, "\x1b"):
					t.Errorf("%s: it was not refused for what it is: %s", in.name, tail(msg))
				case took > time.Second:
					t.Errorf("%s: refused after %v", in.name, took)
				}
				slowest = max(slowest, took)
			}
		})
		total += len(c.list)
	}
	t.Logf("%d inputs, the slowest refused after %v", total, slowest.Round(time.Millisecond))
	if total < 100 {
		t.Errorf("only %d inputs", total)
	}
	// The originals of all these lies are accepted, so it is not the tools that fail.
	for _, c := range []struct {
		data []byte
		args []string
	}{
		{readFile(t, im.torrent), []string{"ezio-verify", "-q", "-t", "-", "-d", im.disk}},
		{testImage(t, "minix-0001"), []string{"ezio-btfiles", "-q"}},
		{testImage(t, "minix-0002"), []string{"ezio-btfiles", "-q"}},
		{[]byte("offset: 0\nlength: 1000\nsha1: 2869c305281b7dcde9133a1007f64730ba0795db\n"), []string{"ezio-mktorrent", "-q"}},
	} {
		if p, _ := run(t, malicious{"true", c.data}, c.args...); p.code != 0 {
			t.Errorf("%v: exit code %d: %s", c.args, p.code, p.err.String())
		}
	}
}
