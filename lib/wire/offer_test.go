// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"testing"
)

func TestBargains(t *testing.T) {
	for _, c := range []Bargain{
		{Kind: Offer}, {Kind: Offer, Piece: 16, Rate: 12 << 20}, {Kind: Decline, Piece: 3},
		{Kind: Full, Piece: -1}, {Kind: Full, Piece: 2}, {Kind: Want, Piece: -1}, {Kind: Want, Piece: 16},
	} {
		b := AppendBargain(nil, 7, c)
		m, err := NewReader(bytes.NewReader(b), Limits{Pieces: 17, MaxBlock: BlockLength}).Next()
		if err != nil || m.Type != Extended || m.ExtID != 7 {
			t.Fatalf("%+v: %+v, %v", c, m, err)
		}
		if got, err := ParseBargain(m.Payload, 17); err != nil || got != c {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func TestBadBargains(t *testing.T) {
	for _, p := range [][]byte{
		nil,
		{0, 0, 0, 0, 0},
		{1, 0, 0, 0},
		{1, 0, 0, 0, 0, 0},
		{4, 0, 0, 0, 0},
		{0, 0, 0, 0, 17, 0, 0, 0, 0},
		{0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		{1, 0xff, 0xff, 0xff, 0xff},
		{2, 0xff, 0xff, 0xff, 0xfe},
	} {
		if m, err := ParseBargain(p, 17); err == nil {
			t.Errorf("% x: %+v", p, m)
		}
	}
}
