// SPDX-License-Identifier: GPL-2.0-or-later

package btinfo

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// What a stream may make us hold: lines far longer than any real one and more records than
// 32 TiB captured by partclone in its 1 MiB steps are refused.
const (
	maxLine    = 4096
	maxRecords = 1 << 25
)

// Read parses a whole stream. It reports the line at fault; it does not call Check, since a stream
// without sums is of use to somebody who holds the source.
func Read(r io.Reader) (*Info, error) {
	p := parser{info: &Info{PieceLength: piece.Partclone, Records: make([]extent.Extent, 0, expect(r))}, seen: map[string]int64{}}
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, fmt.Errorf("read torrent.info: %w", err)
		}
		if len(line) == 0 {
			break
		}
		p.line++
		text, ended := bytes.CutSuffix(line, []byte{'\n'})
		switch {
		case len(text) > maxLine:
			return nil, fmt.Errorf("torrent.info line %d: not text: longer than %d bytes", p.line, maxLine)
		case !ended && !bytes.HasPrefix(text, []byte("sha1:")):
			// Half a number is a number too; only a sum shows that it is whole.
			return nil, fmt.Errorf("torrent.info line %d: it ends in the middle of the line", p.line)
		}
		if err := p.add(bytes.TrimSuffix(text, []byte{'\r'})); err != nil {
			return nil, fmt.Errorf("torrent.info line %d: %w", p.line, err)
		}
	}
	return p.finish()
}

// expect is how many records a file may hold, so that room for them is made at once; 0 when that cannot
// be told.
func expect(r io.Reader) int {
	const (
		record  = len("offset: \nlength: \n") + 2*32
		enough  = 1 << 20 // whoever has more of them gets room as they come
		unknown = 0
	)
	f, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return unknown
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return unknown
	}
	return int(min(fi.Size()/int64(record)+1, enough))
}

type parser struct {
	info    *Info            // its Records have offset, length or both
	offsets int              // said so far
	lengths int              // likewise
	seen    map[string]int64 // numbers that may be said once
	line    int
}

var partcloneMagic = []byte("partclone-image")

func (p *parser) add(line []byte) error {
	// Nearly every line is one of these two.
	if value, ok := bytes.CutPrefix(line, []byte("offset: ")); ok {
		return p.offset(bytes.TrimSpace(value))
	}
	if value, ok := bytes.CutPrefix(line, []byte("length: ")); ok {
		return p.length(bytes.TrimSpace(value))
	}
	switch {
	case len(line) == 0:
		return nil
	case bytes.HasPrefix(line, partcloneMagic):
		return errors.New("this is a partclone image, not torrent.info: pass it through ezio-btfiles first")
	}
	key, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isKey(key) {
		return errors.New("not of the form `key: value`")
	}
	value = bytes.TrimSpace(value)
	switch string(key) {
	case "offset":
		return p.offset(value)
	case "length":
		return p.length(value)
	case "sha1":
		return p.sum(value)
	case "block_size":
		return p.number(string(key), value, &p.info.BlockSize)
	case "blocks_total":
		return p.number(string(key), value, &p.info.BlocksTotal)
	case "piece_length":
		return p.number(string(key), value, &p.info.PieceLength)
	case "device_size":
		return p.number(string(key), value, &p.info.DeviceSize)
	case "filesystem":
		p.info.Filesystem = string(value)
	case "partition_table":
		p.info.PartitionTable = string(value)
	case "source":
		p.info.Source = string(value)
	}
	return nil
}

func (p *parser) offset(value []byte) error {
	e, n, err := p.record(p.offsets, value)
	if err != nil {
		return err
	}
	e.Offset = n
	p.offsets++
	return nil
}

func (p *parser) length(value []byte) error {
	e, n, err := p.record(p.lengths, value)
	if err != nil {
		return err
	}
	e.Length = n
	p.lengths++
	return nil
}

// record reads an offset or length, hexadecimal digits, any number of them, within 63 bits, and finds
// the record that it belongs to.
func (p *parser) record(i int, value []byte) (*extent.Extent, int64, error) {
	if i >= maxRecords {
		return nil, 0, fmt.Errorf("more than %d records", maxRecords)
	}
	n, err := extent.ParseHex(value)
	if err != nil {
		return nil, 0, err
	}
	if i == len(p.info.Records) {
		p.info.Records = append(p.info.Records, extent.Extent{})
	}
	return &p.info.Records[i], n, nil
}

func (p *parser) sum(value []byte) error {
	var h piece.Hash
	if len(value) != 2*len(h) {
		return fmt.Errorf("sha1 of %d digits, want %d", len(value), 2*len(h))
	}
	if _, err := hex.Decode(h[:], value); err != nil {
		return fmt.Errorf("sha1 %q is not hexadecimal", value)
	}
	if len(p.info.Pieces) >= piece.MaxCount {
		return fmt.Errorf("more than %d sha1 lines", piece.MaxCount)
	}
	p.info.Pieces = append(p.info.Pieces, h)
	return nil
}

// number reads a decimal, positive number. Two streams joined by mistake say it twice, and
// differently.
func (p *parser) number(key string, value []byte, to *int64) error {
	n, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil || n == 0 {
		return fmt.Errorf("%s %q is not a positive number", key, value)
	}
	if old, ok := p.seen[key]; ok && old != int64(n) {
		return fmt.Errorf("%s is %d here and was %d before", key, n, old)
	}
	p.seen[key] = int64(n)
	*to = int64(n)
	return nil
}

func (p *parser) finish() (*Info, error) {
	if p.offsets != p.lengths {
		return nil, fmt.Errorf("torrent.info has %d offsets and %d lengths: it is incomplete", p.offsets, p.lengths)
	}
	if p.offsets == 0 {
		return nil, ErrEmpty
	}
	return p.info, nil
}

// isKey keeps binary input from being skipped as an unknown key.
func isKey(b []byte) bool {
	for _, c := range b {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0
}
