// SPDX-License-Identifier: GPL-2.0-or-later

package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/anacrolix/torrent/bencode"

	"ezio/lib/extent"
)

// A disk image's list of files may have a million entries, all spelled alike. They are written and
// read here by the byte; libraries take ten times as long, by reflection. What is spelled in another
// way, with more keys for instance, is left to the library.

const (
	fileFront  = "d6:lengthi"
	fileMiddle = "e4:pathl"
	fileBack   = "ee"
)

// appendFile adds an extent's entry.
func appendFile(b []byte, e extent.Extent) []byte {
	b = append(b, fileFront...)
	b = strconv.AppendInt(b, e.Length, 10)
	b = append(b, fileMiddle+"32:"...)
	b = extent.AppendName(b, e.Offset)
	return append(b, fileBack...)
}

// takeFile finds an entry that b begins with, if it is spelled as appendFile does but for the number
// of digits in its name: the file's length, its name, and n, the entry's length in bytes.
func takeFile(b []byte) (length int64, name []byte, n int, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(fileFront))
	if !ok {
		return 0, nil, 0, false
	}
	if length, rest, ok = takeNumber(rest); !ok {
		return 0, nil, 0, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(fileMiddle)); !ok {
		return 0, nil, 0, false
	}
	digits, rest, ok := takeNumber(rest)
	if !ok || len(rest) == 0 || rest[0] != ':' || digits > int64(len(rest))-1 {
		return 0, nil, 0, false
	}
	name = rest[1 : 1+digits]
	rest, ok = bytes.CutPrefix(rest[1+digits:], []byte(fileBack))
	return length, name, len(b) - len(rest), ok
}

// takeNumber reads a number of at most 18 digits in its only spelling.
func takeNumber(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && i < 19 && '0' <= b[i] && b[i] <= '9'; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	if i == 0 || i == 19 || b[0] == '0' && i > 1 {
		return 0, nil, false
	}
	return n, b[i:], true
}

// parseFiles reads the list of files, bencoded, which scan found well-formed.
func parseFiles(raw []byte) ([]extent.Extent, error) {
	if len(raw) == 0 || raw[0] != 'l' || len(raw) == 2 {
		return nil, errors.New("not a disk image's torrent: it has no list of files")
	}
	const entry = len(fileFront+"4096"+fileMiddle+"32:"+fileBack) + 32
	list := make([]extent.Extent, 0, len(raw)/entry+1)
	s := scanner{b: raw, pos: 1}
	for raw[s.pos] != 'e' {
		length, name, n, ok := takeFile(raw[s.pos:])
		if !ok {
			from := s.pos
			if err := s.value(0); err != nil {
				return nil, err
			}
			var err error
			if length, name, err = parseFile(raw[from:s.pos]); err != nil {
				return nil, fmt.Errorf("file %d: %w", len(list)+1, err)
			}
		}
		s.pos += n
		off, err := extent.ParseHex(name)
		if err != nil {
			return nil, fmt.Errorf("file %d: not a disk image's torrent: path %w", len(list)+1, err)
		}
		list = append(list, extent.Extent{Offset: off, Length: length})
	}
	return list, nil
}

// parseFile reads an entry in any spelling.
func parseFile(raw []byte) (length int64, name []byte, err error) {
	var f struct {
		Length int64    `bencode:"length"`
		Path   []string `bencode:"path"`
	}
	if err := bencode.Unmarshal(raw, &f); err != nil {
		return 0, nil, err
	}
	if len(f.Path) != 1 {
		return 0, nil, fmt.Errorf("its path has %d parts; a disk image's torrent has one, the disk offset", len(f.Path))
	}
	return f.Length, []byte(f.Path[0]), nil
}
