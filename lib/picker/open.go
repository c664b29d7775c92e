// SPDX-License-Identifier: GPL-2.0-or-later

package picker

import (
	"slices"
	"time"

	"ezio/lib/piece"
	"ezio/lib/wire"
)

// An open piece is one that was asked for and is not settled: some of it may be in memory.
type open struct {
	index    int
	at       int // in openPieces.list
	size     int64
	chunks   []chunkState
	owner    *peer // who was asked for it first; nil when that peer has lost it
	missing  int   // chunks nobody is asked for
	received int   // chunks that are here
	since    time.Time
	progress time.Time // when the last chunk came
}

type chunkState uint8

const (
	missing chunkState = iota
	asked              // of one peer
	doubled            // of two
	received
)

// openPieces are the open pieces, for finding one and for going through all.
type openPieces struct {
	of   map[int]*open
	list []*open
	not  *piece.Bitfield // those that are open or here: nothing else is missing
}

func newOpenPieces(have *piece.Bitfield) openPieces {
	return openPieces{of: map[int]*open{}, not: have.Clone()}
}

func (s *openPieces) add(o *open) {
	s.of[o.index], o.at = o, len(s.list)
	s.list = append(s.list, o)
	s.not.Set(o.index)
}

// remove takes a piece out: because it is here, or because all of it is missing again.
func (s *openPieces) remove(i int, here bool) {
	if o := s.of[i]; o != nil {
		last := s.list[len(s.list)-1]
		s.list[o.at], last.at = last, o.at
		s.list = s.list[:len(s.list)-1]
		delete(s.of, i)
	}
	if here {
		s.not.Set(i)
	} else {
		s.not.Clear(i)
	}
}

func (p *Picker) openPiece(i int, owner *peer) *open {
	_, size := p.cfg.Layout.Span(i)
	n := int((size + chunk - 1) / chunk)
	o := &open{index: i, size: size, chunks: make([]chunkState, n), owner: owner, missing: n, since: p.now, progress: p.now}
	p.open.add(o)
	return o
}

// run is the longest block, up to max bytes, of chunks in state st, the first of them at or after
// chunk from; ok is false when there is none.
func (o *open) run(st chunkState, from, max int) (b wire.Block, ok bool) {
	for c := from; c < len(o.chunks); c++ {
		if o.chunks[c] != st {
			continue
		}
		end := c + 1
		for end < len(o.chunks) && o.chunks[end] == st && (end-c+1)*chunk <= max {
			end++
		}
		return o.block(c, end), true
	}
	return wire.Block{}, false
}

func (o *open) block(c, end int) wire.Block {
	begin := int64(c) * chunk
	return wire.Block{Piece: int32(o.index), Begin: int32(begin), Length: int32(min(int64(end)*chunk, o.size) - begin)}
}

// span is the chunks [c, end) that a block covers.
func span(b wire.Block) (c, end int) {
	return int(b.Begin) / chunk, (int(b.Begin) + int(b.Length) + chunk - 1) / chunk
}

// ask marks a block as asked once more.
func (o *open) ask(b wire.Block) {
	for c, end := span(b); c < end; c++ {
		switch o.chunks[c] {
		case missing:
			o.chunks[c] = asked
			o.missing--
		case asked:
			o.chunks[c] = doubled
		}
	}
}

// unask takes one request for a block back.
func (o *open) unask(b wire.Block) {
	for c, end := span(b); c < end; c++ {
		switch o.chunks[c] {
		case asked:
			o.chunks[c] = missing
			o.missing++
		case doubled:
			o.chunks[c] = asked
		}
	}
}

// askedOfSeveral says whether of any part of a block more than one peer was asked, or nobody: then
// somebody else may have been.
func (o *open) askedOfSeveral(b wire.Block) bool {
	c, end := span(b)
	return slices.ContainsFunc(o.chunks[c:end], func(st chunkState) bool { return st != asked })
}

// receive marks a block as here and says whether any of it is news.
func (o *open) receive(b wire.Block) (news bool) {
	for c, end := span(b); c < end; c++ {
		if o.chunks[c] == received {
			continue
		}
		if o.chunks[c] == missing {
			o.missing--
		}
		o.chunks[c] = received
		o.received++
		news = true
	}
	return news
}

func (o *open) whole() bool { return o.received == len(o.chunks) }
