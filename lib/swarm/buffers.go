// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"

	ezmeta "ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/lib/store"
)

// buffers stands between the engine, which writes blocks as they come and verifies afterwards, and
// the store, which takes whole verified pieces. Blocks gather in a piece buffer in memory; when the
// engine wants the piece hashed, the store does that and writes it, so that a piece is hashed
// once, and is announced only when it is on the disk.
type buffers struct {
	torrent *ezmeta.Torrent
	store   Store
	log     *slog.Logger

	mu   sync.Mutex
	open map[int]*buffer
	free [][]byte
}

type buffer struct {
	mu   sync.Mutex // the engine may write one block twice at the same time near the end
	data []byte
}

// keepFree bounds how many unused piece buffers are kept for reuse.
const keepFree = 4

func newBuffers(t *ezmeta.Torrent, st Store, log *slog.Logger) *buffers {
	return &buffers{torrent: t, store: st, log: log, open: map[int]*buffer{}}
}

func (b *buffers) OpenTorrent(context.Context, *metainfo.Info, metainfo.Hash) (storage.TorrentImpl, error) {
	return storage.TorrentImpl{
		Piece: func(p metainfo.Piece) storage.PieceImpl { return &pieceStorage{b: b, index: p.Index()} },
		Close: func() error { return nil },
	}, nil
}

// take is piece i's buffer, made if make is set, else nil where there is none.
func (b *buffers) take(i int, create bool) *buffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf := b.open[i]
	if buf == nil && create {
		_, n := b.torrent.Layout.Span(i)
		buf = &buffer{}
		if k := len(b.free) - 1; k >= 0 {
			buf.data, b.free = b.free[k][:n], b.free[:k]
		} else {
			buf.data = make([]byte, n, b.torrent.Layout.Length)
		}
		b.open[i] = buf
	}
	return buf
}

func (b *buffers) drop(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if buf := b.open[i]; buf != nil {
		delete(b.open, i)
		if len(b.free) < keepFree {
			buf.mu.Lock()
			b.free = append(b.free, buf.data[:cap(buf.data)])
			buf.data = nil
			buf.mu.Unlock()
		}
	}
}

// pieceStorage is one piece as the engine sees it.
type pieceStorage struct {
	b     *buffers
	index int
}

func (p *pieceStorage) ReadAt(buf []byte, off int64) (int, error) {
	_, n := p.b.torrent.Layout.Span(p.index)
	if off >= n {
		return 0, io.EOF
	}
	short := int64(len(buf)) > n-off
	if short {
		buf = buf[:n-off]
	}
	if err := p.b.store.ReadPiece(buf, p.index, off); err != nil {
		p.b.log.Error("read", "piece", p.index, "err", err)
		return 0, err
	}
	if short {
		return len(buf), io.EOF
	}
	return len(buf), nil
}

func (p *pieceStorage) WriteAt(data []byte, off int64) (int, error) {
	if err := p.b.store.Err(); err != nil {
		return 0, err
	}
	buf := p.b.take(p.index, true)
	buf.mu.Lock()
	defer buf.mu.Unlock()
	if buf.data == nil {
		return len(data), nil // the piece was settled while this block, a duplicate, was on its way
	}
	if off < 0 || off > int64(len(buf.data)-len(data)) {
		return 0, io.ErrShortWrite
	}
	return copy(buf.data[off:], data), nil
}

// SelfHash verifies and writes the piece. A sum that differs from the torrent's makes the engine
// fetch it again; an error is ours, and blames no peer.
func (p *pieceStorage) SelfHash() (metainfo.Hash, error) {
	want := p.b.torrent.Pieces[p.index]
	if p.b.store.Has(p.index) {
		return metainfo.Hash(want), nil
	}
	buf := p.b.take(p.index, false)
	if buf == nil {
		return metainfo.Hash{}, errors.New("no block of it was received")
	}
	buf.mu.Lock()
	err := p.b.store.Put(p.index, buf.data)
	buf.mu.Unlock()
	p.b.drop(p.index)
	switch {
	case errors.Is(err, store.ErrHash):
		return metainfo.Hash(wrong(want)), nil
	case err != nil:
		return metainfo.Hash{}, err
	}
	return metainfo.Hash(want), nil
}

// wrong is a sum that is not h.
func wrong(h piece.Hash) piece.Hash { return sha1.Sum(h[:]) }

func (p *pieceStorage) MarkComplete() error { return nil }

func (p *pieceStorage) MarkNotComplete() error {
	p.b.drop(p.index)
	return nil
}

func (p *pieceStorage) Completion() storage.Completion {
	return storage.Completion{Ok: true, Complete: p.b.store.Has(p.index)}
}
