// SPDX-License-Identifier: GPL-2.0-or-later

package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Caps on what a .torrent may make a parser do. The libraries that decode bencode recurse and
// allocate as the input says; scan sees to it that they only meet input that is well-formed.
const (
	maxDepth  = 16
	maxTokens = 16 << 20

	fileTokens = 3 // values in an entry of the list of files: integer, list, string
)

// scan checks that b is exactly one bencoded value, a dict, without a byte after it, and returns
// the raw values of that dict and, if info in it is a dict, of that one.
func scan(b []byte) (root, info map[string][]byte, err error) {
	s := scanner{b: b, info: map[string][]byte{}}
	if len(b) == 0 {
		return nil, nil, errors.New("empty")
	}
	if b[0] != 'd' {
		return nil, nil, errors.New("not a torrent: it does not begin as a bencoded dict")
	}
	root = map[string][]byte{}
	if err := s.dict(0, func(key, value []byte) { root[string(key)] = value }); err != nil {
		return nil, nil, fmt.Errorf("not a torrent: at byte %d: %w", s.pos, err)
	}
	if s.pos != len(b) {
		return nil, nil, fmt.Errorf("%d bytes after the torrent's end", len(b)-s.pos)
	}
	return root, s.info, nil
}

type scanner struct {
	b      []byte
	pos    int
	tokens int

	info map[string][]byte // values of the root's info dict, which is nearly all of a torrent
}

var errCut = errors.New("it ends in the middle of a value")

func (s *scanner) value(depth int) error {
	if s.tokens++; s.tokens > maxTokens {
		return fmt.Errorf("more than %d values", maxTokens)
	}
	if s.pos >= len(s.b) {
		return errCut
	}
	switch c := s.b[s.pos]; {
	case c == 'i':
		return s.integer()
	case '0' <= c && c <= '9':
		_, err := s.str()
		return err
	case c == 'l':
		return s.list(depth)
	case c == 'd':
		if _, _, n, ok := takeFile(s.b[s.pos:]); ok && depth+1 < maxDepth {
			s.pos += n
			s.tokens += fileTokens
			return nil
		}
		return s.dict(depth, func(_, _ []byte) {})
	default:
		return fmt.Errorf("unexpected byte %q", c)
	}
}

func (s *scanner) integer() error {
	end := bytes.IndexByte(s.b[s.pos:min(len(s.b), s.pos+22)], 'e')
	if end < 0 {
		return errors.New("integer without end or beyond 64 bits")
	}
	digits := s.b[s.pos+1 : s.pos+end]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	// One spelling for each number: no plus sign, no leading zero, no minus zero.
	if err != nil || strconv.FormatInt(n, 10) != string(digits) {
		return fmt.Errorf("bad integer %q", digits)
	}
	s.pos += end + 1
	return nil
}

func (s *scanner) str() ([]byte, error) {
	colon := bytes.IndexByte(s.b[s.pos:min(len(s.b), s.pos+12)], ':')
	if colon < 0 {
		return nil, errors.New("string without a length")
	}
	digits := s.b[s.pos : s.pos+colon]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != string(digits) {
		return nil, fmt.Errorf("bad string length %q", digits)
	}
	start := s.pos + colon + 1
	if n > int64(len(s.b)-start) {
		return nil, fmt.Errorf("string of %d bytes: %w", n, errCut)
	}
	s.pos = start + int(n)
	return s.b[start:s.pos], nil
}

func (s *scanner) list(depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	for s.pos++; ; {
		if s.pos >= len(s.b) {
			return errCut
		}
		if s.b[s.pos] == 'e' {
			s.pos++
			return nil
		}
		if err := s.value(depth + 1); err != nil {
			return err
		}
	}
}

// dict calls each for every entry with the raw value. A key said twice is refused: two parsers
// might believe different ones. Keys out of order are common in the wild and harmless.
func (s *scanner) dict(depth int, each func(key, value []byte)) error {
	if depth >= maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	var last []byte
	var seen map[string]bool // only once keys are out of order
	var keys [][]byte
	for s.pos++; ; {
		if s.pos >= len(s.b) {
			return errCut
		}
		if s.b[s.pos] == 'e' {
			s.pos++
			return nil
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if last != nil && bytes.Compare(key, last) <= 0 && seen == nil {
			seen = map[string]bool{}
			for _, k := range keys {
				seen[string(k)] = true
			}
		}
		if seen[string(key)] {
			return fmt.Errorf("key %.40q twice", key)
		}
		if seen != nil {
			seen[string(key)] = true
		}
		last, keys = key, append(keys, key)
		start := s.pos
		if depth == 0 && string(key) == "info" && s.info != nil && start < len(s.b) && s.b[start] == 'd' {
			err = s.dict(depth+1, func(key, value []byte) { s.info[string(key)] = value })
		} else {
			err = s.value(depth + 1)
		}
		if err != nil {
			return err
		}
		each(key, s.b[start:s.pos])
	}
}
