// SPDX-License-Identifier: GPL-2.0-or-later

// Package conf reads ezio.conf: which image goes onto which disk.
//
// It is a file of shell assignments and is read as a POSIX shell would read it, as to comments,
// quotes and backslashes, but nothing is ever executed or expanded: it may come from a server that
// anybody can pose as. Two sets of keys are in use, and mean the same:
//
//	TORRENT=http://10.0.0.1:6969/a.torrent      torrent=a.torrent
//	TARGET=/dev/sda1                            disk=/dev/sda
//
// Several pairs, each in either order, are for several disks or partitions.
package conf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// MaxSize is the longest ezio.conf that is read, in bytes.
const MaxSize = 1 << 20

// A Pair is an image and where it goes.
type Pair struct {
	Torrent string // file or URL, as it was written
	Target  string // device or file
	Line    int    // where it begins, from 1
}

// An Error is what is wrong with a line.
type Error struct {
	Line   int // from 1; 0 if it is about the whole file
	Reason string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

func wrong(at syntax.Pos, format string, args ...any) *Error {
	return &Error{Line: int(at.Line()), Reason: fmt.Sprintf(format, args...)}
}

// Parse reads the pairs, at least one, in the order in which they stand.
func Parse(text []byte) ([]Pair, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	f, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(text), "")
	if err != nil {
		var pe syntax.ParseError
		if errors.As(err, &pe) {
			return nil, wrong(pe.Pos, "%s", pe.Text)
		}
		return nil, &Error{Reason: err.Error()}
	}
	var p pairs
	for _, stmt := range f.Stmts {
		assigns, err := assignments(stmt)
		if err != nil {
			return nil, err
		}
		for _, a := range assigns {
			if err := p.assign(a); err != nil {
				return nil, err
			}
		}
	}
	return p.end()
}

// assignments is what a statement assigns, if that is all that it does.
func assignments(stmt *syntax.Stmt) ([]*syntax.Assign, error) {
	bare := !stmt.Negated && !stmt.Background && !stmt.Coprocess && !stmt.Disown && len(stmt.Redirs) == 0
	cmd, ok := stmt.Cmd.(*syntax.CallExpr)
	switch {
	case !ok || !bare:
	case len(cmd.Args) == 0:
		return cmd.Assigns, nil
	case len(cmd.Args) > 1 && strings.HasPrefix(cmd.Args[1].Lit(), "="):
		return nil, wrong(stmt.Pos(), "there is a space before the =")
	case len(cmd.Assigns) > 0:
		return nil, wrong(stmt.Pos(), "quote the value of %s, or leave no space after the =", cmd.Assigns[0].Name.Value)
	case cmd.Args[0].Lit() == "export":
		return exports(cmd.Args[1:])
	}
	return nil, wrong(stmt.Pos(), "only assignments such as TARGET=/dev/sda1 are read, no commands")
}

// exports is the assignments that the arguments of export are.
func exports(words []*syntax.Word) ([]*syntax.Assign, error) {
	var list []*syntax.Assign
	for _, w := range words {
		lit, ok := w.Parts[0].(*syntax.Lit)
		if !ok || !strings.Contains(lit.Value, "=") {
			return nil, wrong(w.Pos(), "only assignments such as TARGET=/dev/sda1 are read")
		}
		name, begin, _ := strings.Cut(lit.Value, "=")
		value := &syntax.Word{Parts: w.Parts[1:]}
		if begin != "" {
			first := &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: begin}
			value.Parts = append([]syntax.WordPart{first}, value.Parts...)
		}
		if len(value.Parts) == 0 {
			value = nil
		}
		list = append(list, &syntax.Assign{Name: &syntax.Lit{ValuePos: lit.ValuePos, Value: name}, Value: value})
	}
	return list, nil
}

// pairs collects Pairs from assignments.
type pairs struct {
	done []Pair
	next Pair
	key  string // of the half that is there
}

func (p *pairs) assign(a *syntax.Assign) error {
	if a.Naked || a.Append || a.Index != nil || a.Array != nil || a.Name == nil {
		return wrong(a.Pos(), "only assignments such as TARGET=/dev/sda1 are read")
	}
	key := a.Name.Value
	var field *string
	switch key {
	case "TORRENT", "torrent":
		field = &p.next.Torrent
	case "TARGET", "disk":
		field = &p.next.Target
	case "MAGNET", "magnet":
		return wrong(a.Pos(), "%s is not supported: a magnet link has no list of extents; name the torrent, TORRENT=http://SEED:6969/a.torrent", key)
	default:
		return wrong(a.Pos(), "unknown key %s: TORRENT and TARGET (or torrent and disk) are known", key)
	}
	value, err := literal(a.Value)
	if err != nil {
		return err
	}
	switch {
	case value == "":
		return wrong(a.Pos(), "%s is empty", key)
	case strings.ContainsRune(value, 0):
		return wrong(a.Pos(), "%s has a NUL byte", key)
	case *field != "":
		return p.lonely(int(a.Pos().Line()))
	}
	if p.key == "" {
		p.next.Line = int(a.Pos().Line())
	}
	*field, p.key = value, key
	if p.next.Torrent != "" && p.next.Target != "" {
		p.done, p.next, p.key = append(p.done, p.next), Pair{}, ""
	}
	return nil
}

// lonely is the error for a key whose other half did not come until a line, 0 for the end.
func (p *pairs) lonely(line int) error {
	other := map[string]string{"TORRENT": "TARGET", "torrent": "disk", "TARGET": "TORRENT", "disk": "torrent"}[p.key]
	if line == 0 {
		return &Error{p.next.Line, fmt.Sprintf("%s without %s", p.key, other)}
	}
	return &Error{p.next.Line, fmt.Sprintf("%s without %s before line %d", p.key, other, line)}
}

func (p *pairs) end() ([]Pair, error) {
	if p.key != "" {
		return nil, p.lonely(0)
	}
	if len(p.done) == 0 {
		return nil, &Error{Reason: "it assigns neither TORRENT nor TARGET"}
	}
	return p.done, nil
}
