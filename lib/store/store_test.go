// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
)

// ramDisk is a target in memory whose writes or syncs can fail.
type ramDisk struct {
	b              []byte
	badWrite       bool
	badSync        bool
	writes, synced int
}

var errIO = errors.New("input/output error")

func (d *ramDisk) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *ramDisk) WriteAt(p []byte, off int64) (int, error) {
	if d.badWrite {
		return 0, errIO
	}
	d.writes++
	return copy(d.b[off:], p), nil
}

func (d *ramDisk) Sync() error {
	d.synced++
	if d.badSync {
		return errIO
	}
	return nil
}

// torrent has five pieces, the last of 1000 bytes, in two extents with a gap.
func torrent(t *testing.T) (*metainfo.Torrent, [][]byte) {
	t.Helper()
	const n = piece.MinLength
	list := []extent.Extent{{Offset: 512, Length: n + 100}, {Offset: 3 * n, Length: 3*n - 100 + 1000}}
	var data [][]byte
	var sums []piece.Hash
	for i := range 5 {
		b := bytes.Repeat([]byte{byte(i + 1)}, n)
		if i == 4 {
			b = b[:1000]
		}
		data, sums = append(data, b), append(sums, piece.Sum(b))
	}
	_, tor, err := metainfo.Spec{Name: "x", PieceLength: n, Extents: list, Pieces: sums}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return tor, data
}

func TestPutVerifiesBeforeItWrites(t *testing.T) {
	tor, data := torrent(t)
	d := &ramDisk{b: make([]byte, tor.Map.End())}
	s := New(tor, d, "/dev/x")
	wrong := bytes.Clone(data[1])
	wrong[5] ^= 1
	for name, b := range map[string][]byte{"flipped": wrong, "short": data[1][:100], "empty": nil} {
		if err := s.Put(1, b); !errors.Is(err, ErrHash) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d.writes != 0 || s.Has(1) {
		t.Fatal("a wrong piece was written or is present")
	}
	if err := s.ReadPiece(make([]byte, 10), 1, 0); !errors.Is(err, ErrAbsent) {
		t.Fatalf("an absent piece was read: %v", err)
	}
	for i, b := range data {
		if err := s.Put(i, b); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Complete() || s.PresentBytes() != tor.Layout.Size {
		t.Fatalf("complete %v, %d bytes", s.Complete(), s.PresentBytes())
	}
	got := make([]byte, 900)
	if err := s.ReadPiece(got, 4, 100); err != nil || !bytes.Equal(got, data[4][100:]) {
		t.Fatalf("read back: %v", err)
	}
	if err := s.ReadPiece(make([]byte, 901), 4, 100); err == nil {
		t.Fatal("read beyond a piece")
	}
	if err := s.Sync(); err != nil || d.synced != 1 {
		t.Fatalf("sync: %v, %d times", err, d.synced)
	}
}

func TestVerifyTellsPiecesApart(t *testing.T) {
	tor, data := torrent(t)
	s := New(tor, &ramDisk{b: make([]byte, tor.Map.End())}, "/dev/x")
	wrong := bytes.Clone(data[0])
	wrong[len(wrong)-1] ^= 1
	// Of one that comes twice, as of one on a disk that holds it, nothing is lost.
	right, errs := s.Verify([]int{0, 4, 1, 2, 5, -1, 3, 4}, [][]byte{wrong, data[4], data[2], data[2], data[0], data[0], data[3], data[4]})
	var got []int
	for _, v := range right {
		got = append(got, v.Piece())
		if err := s.Write(v); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []int{4, 2, 3, 4}) {
		t.Errorf("verified are %v", got)
	}
	for k, wantHash := range []bool{true, false, true, false, false, false, false, false} {
		if errors.Is(errs[k], ErrHash) != wantHash {
			t.Errorf("piece in place %d: %v", k, errs[k])
		}
	}
	if errs[4] == nil || errs[5] == nil {
		t.Errorf("there is no such piece: %v, %v", errs[4], errs[5])
	}
	if h := s.Have(); h.Count() != 3 || h.Has(0) || h.Has(1) {
		t.Errorf("present are %x", h.Bytes())
	}
}

func TestFirstFailureIsFinal(t *testing.T) {
	tor, data := torrent(t)
	d := &ramDisk{b: make([]byte, tor.Map.End()), badWrite: true}
	s := New(tor, d, "/dev/x")
	err := s.Put(0, data[0])
	if err == nil || err.Error() != "write /dev/x at 0x200: input/output error" || s.Has(0) {
		t.Fatalf("failed write: %v, present %v", err, s.Has(0))
	}
	select {
	case <-s.Failed():
	default:
		t.Fatal("Failed is open")
	}
	d.badWrite = false
	if s.Put(1, data[1]) == nil || s.Sync() == nil || d.writes != 0 || d.synced != 0 {
		t.Fatal("the store went on after a failed write")
	}

	d = &ramDisk{b: make([]byte, tor.Map.End()), badSync: true}
	s = New(tor, d, "/dev/x")
	if err := s.Sync(); !errors.Is(err, errIO) {
		t.Fatalf("failed sync: %v", err)
	}
	d.badSync = false
	if err := s.Sync(); !errors.Is(err, errIO) || d.synced != 1 {
		t.Fatalf("a failed sync was tried again: %v", err)
	}
}

func TestScanFindsWhatIsRight(t *testing.T) {
	tor, data := torrent(t)
	d := &ramDisk{b: make([]byte, tor.Map.End())}
	first := New(tor, d, "/dev/x")
	for _, i := range []int{0, 2, 4} {
		if err := first.Put(i, data[i]); err != nil {
			t.Fatal(err)
		}
	}
	s := New(tor, d, "/dev/x")
	if unknown, found, err := s.Sample(context.Background()); err != nil || !found || len(unknown) != 0 {
		t.Fatalf("sample: %v, %v", found, err)
	}
	if err := s.Scan(context.Background(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Have().Bytes(), first.Have().Bytes()) {
		t.Fatalf("found %x, want %x", s.Have().Bytes(), first.Have().Bytes())
	}
	s.Forget()
	if s.Have().Count() != 0 {
		t.Fatal("forgotten pieces are present")
	}
	blank := New(tor, &ramDisk{b: make([]byte, tor.Map.End())}, "/dev/y")
	if _, found, err := blank.Sample(context.Background()); err != nil || found {
		t.Fatalf("a blank disk: %v, %v", found, err)
	}
}
