// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	bencode "github.com/jackpal/bencode-go"
)

// maxDepth caps how deep a peer can make dict recurse. What clients send is 2 deep.
const maxDepth = 8

// dict calls each for every entry of the bencoded dict that b is, with the raw value. It copies
// nothing and sets no memory aside, so the length of b, which the Reader limits, is all that a
// peer can make it cost.
func dict(b []byte, each func(key, value []byte)) error {
	s := scanner{b: b}
	if len(b) == 0 || b[0] != 'd' {
		return errors.New("not a bencoded dict")
	}
	if err := s.dict(0, each); err != nil {
		return fmt.Errorf("bad bencode at byte %d: %w", s.pos, err)
	}
	// Bytes after it are allowed: some messages of BEP 10 carry data there.
	return nil
}

type scanner struct {
	b   []byte
	pos int
}

var errCut = errors.New("it ends in the middle of a value")

func (s *scanner) peek() byte {
	if s.pos >= len(s.b) {
		return 0 // begins no value
	}
	return s.b[s.pos]
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	switch c := s.peek(); {
	case c == 'i':
		end := bytes.IndexByte(s.b[s.pos:], 'e')
		if end < 0 {
			return errCut
		}
		if _, ok := integer(s.b[s.pos : s.pos+end+1]); !ok {
			return errors.New("bad integer")
		}
		s.pos += end + 1
		return nil
	case '0' <= c && c <= '9':
		_, err := s.str()
		return err
	case c == 'l':
		for s.pos++; s.peek() != 'e'; {
			if err := s.value(depth + 1); err != nil {
				return err
			}
		}
		s.pos++
		return nil
	case c == 'd':
		return s.dict(depth, func(_, _ []byte) {})
	case s.pos >= len(s.b):
		return errCut
	default:
		return fmt.Errorf("unexpected byte %q", c)
	}
}

func (s *scanner) dict(depth int, each func(key, value []byte)) error {
	for s.pos++; s.peek() != 'e'; {
		key, err := s.str()
		if err != nil {
			return err
		}
		start := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		each(key, s.b[start:s.pos])
	}
	s.pos++
	return nil
}

func (s *scanner) str() ([]byte, error) {
	rest := s.b[min(s.pos, len(s.b)):]
	colon := bytes.IndexByte(rest[:min(len(rest), 11)], ':')
	if colon < 0 {
		return nil, errors.New("not a string")
	}
	n, err := strconv.ParseUint(string(rest[:colon]), 10, 31)
	if err != nil {
		return nil, errors.New("bad length of a string")
	}
	if int(n) > len(rest)-colon-1 {
		return nil, errCut
	}
	s.pos += colon + 1 + int(n)
	return rest[colon+1 : colon+1+int(n)], nil
}

// integer is the raw value v as a number, text as a string; ok is false when it is another kind.
func integer(v []byte) (n int64, ok bool) {
	if len(v) < 3 || v[0] != 'i' || v[len(v)-1] != 'e' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v[1:len(v)-1]), 10, 64)
	return n, err == nil
}

func text(v []byte) (b []byte, ok bool) {
	s := scanner{b: v}
	b, err := s.str()
	return b, err == nil
}

// encode is m bencoded. It panics on a value that cannot be, which only this package puts there.
func encode(m map[string]any) []byte {
	var b bytes.Buffer
	if err := bencode.Marshal(&b, m); err != nil {
		panic("wire: " + err.Error())
	}
	return b.Bytes()
}
