// SPDX-License-Identifier: GPL-2.0-or-later

package lvm

import (
	"errors"
	"fmt"
	"strconv"
)

// A section is a part of LVM's text format in braces: values, and sections in it, by name.
type section struct {
	numbers  map[string]int64
	strings  map[string]string
	lists    map[string][]string // numbers in them as they are written
	sections []named
}

type named struct {
	name string
	*section
}

// maxDepth is twice that of any metadata.
const maxDepth = 10

// A parser reads the text format (lvm2 lib/config, libdm/libdm-config.c): NAME = VALUE, NAME { … }, and
// comments from # to the line's end.
type parser struct {
	text  []byte
	at    int // offset of what is next
	token string
	kind  byte  // of token: w word, s string, a mark itself, 0 the end
	from  int   // offset of token
	err   error // the first
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("at byte %d: %w", p.from, fmt.Errorf(format, args...))
	}
	p.kind = 0
}

// next reads a token.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	for comment := false; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		comment = (comment || c == '#') && c != '\n'
		if !comment && !isBlank(c) {
			break
		}
	}
	p.from, p.kind, p.token = p.at, 0, ""
	if p.at == len(p.text) {
		return
	}
	switch c := p.text[p.at]; {
	case c == '"':
		p.quoted()
	case isWord(c):
		for p.at < len(p.text) && isWord(p.text[p.at]) {
			p.at++
		}
		p.kind, p.token = 'w', string(p.text[p.from:p.at])
	default:
		p.at++
		p.kind = c
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '+' || c == '-'
}

// quoted reads a string, in which a backslash makes the next character itself.
func (p *parser) quoted() {
	var b []byte
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			p.kind, p.token = 's', string(b)
			return
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b = append(b, p.text[p.at])
		default:
			b = append(b, c)
		}
	}
	p.fail("a string without end")
}

// section reads up to the end of a section, or of the text.
func (p *parser) section(depth int) *section {
	s := &section{numbers: map[string]int64{}, strings: map[string]string{}, lists: map[string][]string{}}
	for p.next(); p.kind == 'w'; p.next() {
		name := p.token
		switch p.next(); p.kind {
		case '=':
			p.next()
			s.value(p, name)
		case '{':
			if depth == maxDepth {
				p.fail("sections %d deep", depth)
				return s
			}
			s.sections = append(s.sections, named{name, p.section(depth + 1)})
			if p.kind != '}' {
				p.fail("the section %.40q does not end", name)
			}
		default:
			p.fail("neither = nor { after %.40q", name)
		}
	}
	return s
}

// value takes the value that the parser is at.
func (s *section) value(p *parser, name string) {
	switch p.kind {
	case 's':
		s.strings[name] = p.token
	case 'w':
		n, err := strconv.ParseInt(p.token, 10, 64)
		if err != nil {
			p.fail("%.40q is not a number", p.token)
		}
		s.numbers[name] = n
	case '[':
		list := []string{}
		for p.next(); p.kind == 's' || p.kind == 'w' || p.kind == ','; p.next() {
			if p.kind != ',' {
				list = append(list, p.token)
			}
		}
		if p.kind != ']' {
			p.fail("a list without end")
		}
		s.lists[name] = list
	default:
		p.fail("no value for %.40q", name)
	}
}

// parse reads a whole text; the offsets are those of its first section.
func parse(text []byte) (root *section, err error) {
	p := &parser{text: text}
	root = p.section(0)
	if p.err == nil && p.kind != 0 {
		p.fail("unexpected %q", p.kind)
	}
	if p.err != nil {
		return nil, p.err
	}
	return root, nil
}

// sub finds a section in a section; an empty one if there is none.
func (s *section) sub(name string) *section {
	for _, n := range s.sections {
		if n.name == name {
			return n.section
		}
	}
	return &section{}
}

var errNoGroup = errors.New("it describes no volume group")
