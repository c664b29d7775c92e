// SPDX-License-Identifier: GPL-2.0-or-later

package verify

import (
	"bytes"
	"context"
	"testing"

	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
)

func TestEveryRangeOfABadPiece(t *testing.T) {
	const n = piece.MinLength
	disk := bytes.Repeat([]byte("0123456789abcdef"), n/4)
	list := []extent.Extent{{Offset: 0, Length: n}, {Offset: 2 * n, Length: n / 2}, {Offset: 3 * n, Length: n / 2}}
	sums := []piece.Hash{piece.Sum(disk[:n]), piece.Sum(append(bytes.Clone(disk[2*n:2*n+n/2]), disk[3*n:3*n+n/2]...))}
	_, tor, err := metainfo.Spec{Name: "x", PieceLength: n, Extents: list, Pieces: sums}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	check := func(disk []byte) (got []Range, res Result) {
		var done int64
		res, err := Disk(context.Background(), tor, bytes.NewReader(disk), "/dev/x",
			func(r Range) error { got = append(got, r); return nil }, func(b int64) { done += b })
		if err != nil || done != tor.Layout.Size {
			t.Fatalf("%v after %d bytes", err, done)
		}
		return got, res
	}
	if got, res := check(disk); len(got) != 0 || res != (Result{}) {
		t.Fatalf("a good disk: %v", got)
	}
	bad := bytes.Clone(disk)
	bad[3*n+5] ^= 1
	got, res := check(bad)
	if len(got) != 2 || got[0] != (Range{Piece: 1, Extent: list[1]}) || got[1] != (Range{Piece: 1, Extent: list[2]}) {
		t.Fatalf("ranges %v", got)
	}
	if res.BadPieces != 1 || res.BadBytes != n || res.Unreadable != nil {
		t.Fatalf("%+v", res)
	}
	// Between the extents nothing counts.
	bad = bytes.Clone(disk)
	bad[n+5] ^= 1
	if got, _ := check(bad); len(got) != 0 {
		t.Fatalf("a byte between the extents: %v", got)
	}
	// A disk that ends early cannot be read there.
	if got, res := check(disk[:3*n]); len(got) != 2 || res.Unreadable == nil || got[1].Err == nil {
		t.Fatalf("short disk: %v, %+v", got, res)
	}
}
