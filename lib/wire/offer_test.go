// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"testing"
)

func TestOffers(t *testing.T) {
	for _, c := range []struct {
		kind  OfferKind
		piece int
	}{{Offer, 0}, {Offer, 16}, {Decline, 3}, {Full, -1}, {Full, 2}, {Want, -1}, {Want, 16}} {
		b := AppendOffer(nil, 7, c.kind, c.piece)
		m, err := NewReader(bytes.NewReader(b), Limits{Pieces: 17, MaxBlock: BlockLength}).Next()
		if err != nil || m.Type != Extended || m.ExtID != 7 {
			t.Fatalf("%+v: %+v, %v", c, m, err)
		}
		kind, piece, err := ParseOffer(m.Payload, 17)
		if err != nil || kind != c.kind || piece != c.piece {
			t.Errorf("%+v: %v %d, %v", c, kind, piece, err)
		}
	}
}

func TestBadOffers(t *testing.T) {
	for _, p := range [][]byte{
		nil,
		{0, 0, 0, 0},
		{0, 0, 0, 0, 0, 0},
		{4, 0, 0, 0, 0},
		{0, 0, 0, 0, 17},
		{0, 0xff, 0xff, 0xff, 0xff},
		{1, 0xff, 0xff, 0xff, 0xff},
		{2, 0xff, 0xff, 0xff, 0xfe},
	} {
		if kind, piece, err := ParseOffer(p, 17); err == nil {
			t.Errorf("% x: kind %d, piece %d", p, kind, piece)
		}
	}
}
