// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"encoding/binary"
	"math"
)

// An OfferKind is what a message of our own extension, ezio_offer, says. It is how two of our kind
// arrange which of a torrent's few pieces is sent next; the pieces themselves are requested and sent
// as ever.
type OfferKind byte

const (
	Offer   OfferKind = iota // I can send you this piece now
	Decline                  // the piece that you offered comes from elsewhere
	Full                     // I have no room, not for the piece that you offered either
	Want                     // I have room again, and would take this piece
)

// noPiece stands for a Full or Want that is about no piece.
const noPiece = 1<<32 - 1

// A Bargain is one such message.
type Bargain struct {
	Kind  OfferKind
	Piece int   // -1: none
	Rate  int64 // Offer: bytes a second that the link of who offers carries; 0: not known
}

// rateUnit is what Rate is counted in on the wire, in bytes a second.
const rateUnit = 1024

// AppendBargain appends a message, id being the receiver's number for it.
func AppendBargain(b []byte, id byte, m Bargain) []byte {
	n := uint32(noPiece)
	if m.Piece >= 0 {
		n = uint32(m.Piece)
	}
	p := binary.BigEndian.AppendUint32([]byte{byte(m.Kind)}, n)
	if m.Kind == Offer {
		p = binary.BigEndian.AppendUint32(p, uint32(max(0, min(m.Rate/rateUnit, math.MaxUint32))))
	}
	return AppendExtended(b, id, p)
}

// ParseBargain reads the payload of such a message in a torrent of so many pieces.
func ParseBargain(payload []byte, pieces int) (Bargain, error) {
	want := 5
	if len(payload) > 0 && OfferKind(payload[0]) == Offer {
		want = 9
	}
	if len(payload) != want {
		return Bargain{}, bad(Extended, "offer: %d bytes long, not %d", len(payload), want)
	}
	m := Bargain{Kind: OfferKind(payload[0])}
	n := binary.BigEndian.Uint32(payload[1:])
	switch {
	case m.Kind > Want:
		return Bargain{}, bad(Extended, "offer: kind %d", m.Kind)
	case n == noPiece && (m.Kind == Full || m.Kind == Want):
		m.Piece = -1
	case int64(n) >= int64(pieces):
		return Bargain{}, bad(Extended, "offer: piece %d of %d", n, pieces)
	default:
		m.Piece = int(n)
	}
	if m.Kind == Offer {
		m.Rate = int64(binary.BigEndian.Uint32(payload[5:])) * rateUnit
	}
	return m, nil
}
