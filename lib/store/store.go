// SPDX-License-Identifier: GPL-2.0-or-later

// Package store keeps the pieces of one image on one disk.
//
// It holds the promises that everything above trusts: a piece is written only after its hash was
// verified, it counts as present only after every byte of it was written, and the first failed
// write ends the store for good. What a store has been told to hold and what the disk holds can
// therefore differ only by the kernel's cache, which Sync settles.
package store

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"ezio/lib/extent"
	"ezio/lib/hasher"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
)

// ErrHash is returned by Put for data that is not the piece it claims to be.
var ErrHash = errors.New("piece does not match its hash")

// ErrChanged is returned by Check for a piece that is not on the disk any more as it was.
var ErrChanged = errors.New("the data has changed")

// ErrAbsent is returned by ReadPiece for a piece that is not there.
var ErrAbsent = errors.New("piece is not present")

// A Target is a disk that can be written, such as a *disk.Target. All offsets are disk offsets.
type Target interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // its error says what could not be synced
}

// A Store is one image on one disk. It is safe for concurrent use.
type Store struct {
	torrent *metainfo.Torrent
	image   extent.Image
	target  Target // nil: read-only

	mu     sync.Mutex
	have   *piece.Bitfield
	put    []int // pieces that were Put since the last writeBack
	err    error // the first write that failed
	failed chan struct{}
}

// New is an empty store for the torrent's image on target, named path in errors.
func New(t *metainfo.Torrent, target Target, path string) *Store {
	s := newStore(t, target, path)
	s.target = target
	return s
}

// NewSource is a store of a disk that is known, or claimed, to hold the whole image.
func NewSource(t *metainfo.Torrent, disk io.ReaderAt, path string) *Store {
	s := newStore(t, disk, path)
	for i := range s.have.Len() {
		s.have.Set(i)
	}
	return s
}

func newStore(t *metainfo.Torrent, disk io.ReaderAt, path string) *Store {
	return &Store{
		torrent: t,
		image:   extent.Image{Map: t.Map, Disk: disk, Path: path},
		have:    piece.NewBitfield(len(t.Pieces)),
		failed:  make(chan struct{}),
	}
}

// Has says whether piece i is present.
func (s *Store) Has(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.Has(i)
}

// Have is a copy of the set of present pieces.
func (s *Store) Have() *piece.Bitfield {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.Clone()
}

// Complete says whether every piece is present.
func (s *Store) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.All()
}

// PresentBytes is the sum of the lengths of all present pieces.
func (s *Store) PresentBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(s.have.Count()) * s.torrent.Layout.Length
	if last := s.have.Len() - 1; s.have.Has(last) {
		_, short := s.torrent.Layout.Span(last)
		n -= s.torrent.Layout.Length - short
	}
	return n
}

// ReadPiece fills p from piece i, beginning off bytes into it. A piece that is not present is
// ErrAbsent.
func (s *Store) ReadPiece(p []byte, i int, off int64) error {
	if !s.Has(i) {
		return fmt.Errorf("piece %d: %w", i, ErrAbsent)
	}
	start, n := s.torrent.Layout.Span(i)
	if off < 0 || off > n-int64(len(p)) {
		return fmt.Errorf("piece %d: %d bytes at %d are beyond its %d bytes", i, len(p), off, n)
	}
	_, err := s.image.ReadAt(p, start+off)
	return err
}

// Check reads piece i, which is present, and compares it with its hash. A piece that differs is
// ErrChanged.
func (s *Store) Check(i int) error {
	start, n := s.torrent.Layout.Span(i)
	h := sha1.New()
	buf := make([]byte, min(n, 256<<10))
	for off := int64(0); off < n; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), n-off)]
		if err := s.ReadPiece(p, i, off); err != nil {
			return err
		}
		h.Write(p)
	}
	if piece.Hash(h.Sum(nil)) == s.torrent.Pieces[i] {
		return nil
	}
	at := start
	for e := range s.torrent.Map.Slices(start, 1) {
		at = e.Offset
	}
	return fmt.Errorf("%s at %#x: %w", s.image.Path, at, ErrChanged)
}

// Withdraw takes a piece out of the set of present ones, because it cannot be read.
func (s *Store) Withdraw(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have.Clear(i)
}

// File is the open disk if the bytes of piece i lie at their disk offsets in one file, so that the
// kernel can send from it; else nil.
func (s *Store) File(i int) *os.File {
	disk := s.image.Disk
	if p, ok := disk.(*extent.Patched); ok {
		off, n := s.torrent.Layout.Span(i)
		for e := range s.torrent.Map.Slices(off, n) {
			if p.Covers(e) {
				return nil
			}
		}
		disk = p.Disk
	}
	if d, ok := disk.(interface{ File() *os.File }); ok {
		return d.File()
	}
	return nil
}

// A Verified is a piece with data that is right. Only Verify makes one.
type Verified struct {
	piece int
	data  []byte
}

// Verify compares data with the sums of pieces. What is Verified may be given to Write and must not be
// changed until then; errs has ErrHash for a piece whose data does not match, and nil for the others.
// Several pieces at once take a CPU less time than one after the other: see piece.Sums.
func (s *Store) Verify(pieces []int, data [][]byte) (right []Verified, errs []error) {
	sums := make([]piece.Hash, len(pieces))
	piece.Sums(sums, data)
	errs = make([]error, len(pieces))
	for k, i := range pieces {
		if i < 0 || i >= len(s.torrent.Pieces) {
			errs[k] = fmt.Errorf("no piece %d", i)
			continue
		}
		if _, n := s.torrent.Layout.Span(i); int64(len(data[k])) != n || sums[k] != s.torrent.Pieces[i] {
			errs[k] = fmt.Errorf("piece %d: %w", i, ErrHash)
			continue
		}
		right = append(right, Verified{i, data[k]})
	}
	return right, errs
}

// Piece is the index of a verified piece.
func (v Verified) Piece() int { return v.piece }

// Put verifies data as piece i, writes it, and from then on has it. Data that does not match is
// ErrHash and leaves no trace. After any failed write every Put returns that failure.
func (s *Store) Put(i int, data []byte) error {
	right, errs := s.Verify([]int{i}, [][]byte{data})
	if errs[0] != nil {
		return errs[0]
	}
	return s.Write(right[0])
}

// Write writes a piece, and from then on has it. After any failed write every Write returns that
// failure.
func (s *Store) Write(v Verified) error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.Has(v.piece) {
		return nil
	}
	start, _ := s.torrent.Layout.Span(v.piece)
	if _, err := s.image.WriteAt(v.data, start); err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have.Set(v.piece)
	s.put = append(s.put, v.piece)
	return nil
}

func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.failed)
	}
	return s.err
}

// Failed is closed when a write has failed; Err then says how.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is the first write or sync that failed, nil while all is well.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Sync has the disk itself confirm everything that was Put. It is asked once: after a failed fsync
// the kernel may report success for data it has dropped, so the failure is final.
func (s *Store) Sync() error {
	if s.target == nil {
		return nil
	}
	if err := s.Err(); err != nil {
		return err
	}
	// Piece by piece first: a sync's own error does not say where.
	if err := s.writeBack(context.Background()); err != nil {
		return err
	}
	if err := s.target.Sync(); err != nil {
		return s.fail(err)
	}
	return nil
}

// scanMemory bounds the bytes in memory of a Scan, of small pieces: a receiver, which needs more at the
// same time, may have little.
const scanMemory = 16 << 20

// Scan rehashes pieces on the disk and sets what is present accordingly; which selects pieces
// (ascending), nil means all. A piece that cannot be read is not present. found hears of each piece,
// its bytes and whether it matched. Pieces that are being scanned must not be Put.
func (s *Store) Scan(ctx context.Context, which []int, found func(piece int, bytes int64, ok bool)) error {
	opt := hasher.Options{Memory: scanMemory}
	if which != nil && len(which) <= sampleCount {
		// A sample is not worth the memory of many pieces at once.
		opt = hasher.Options{Workers: 1, Memory: 2 * s.torrent.Layout.Length}
	}
	return hasher.Each(ctx, s.image, s.torrent.Layout, which, opt, func(r hasher.Result) error {
		ok := r.Err == nil && r.Sum == s.torrent.Pieces[r.Index]
		s.mu.Lock()
		if ok {
			s.have.Set(r.Index)
		} else {
			s.have.Clear(r.Index)
		}
		s.mu.Unlock()
		if found != nil {
			found(r.Index, r.Bytes, ok)
		}
		return nil
	})
}

// Forget empties the set of present pieces; the disk is left as it is.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have = piece.NewBitfield(s.have.Len())
}

// What Sample reads at most: enough to notice a tenth of an image with near certainty.
const (
	sampleCount = 64
	sampleBytes = 256 << 20
)

// Sample rehashes a few pieces spread over the image and says whether any is already right: then
// the others, unknown (ascending), are worth a Scan, because an earlier run was here.
func (s *Store) Sample(ctx context.Context) (unknown []int, found bool, err error) {
	count := len(s.torrent.Pieces)
	n := min(count, sampleCount, max(4, int(sampleBytes/s.torrent.Layout.Length)))
	which := make([]int, 0, n)
	for k := range n {
		which = append(which, int(int64(k)*int64(count)/int64(n)))
	}
	err = s.Scan(ctx, which, func(_ int, _ int64, ok bool) { found = found || ok })
	for i := range count {
		if len(which) > 0 && which[0] == i {
			which = which[1:]
		} else {
			unknown = append(unknown, i)
		}
	}
	return unknown, found, err
}
