// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import "encoding/binary"

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

// AppendOffer appends such a message, id being the receiver's number for it. Piece -1 is none.
func AppendOffer(b []byte, id byte, kind OfferKind, piece int) []byte {
	n := uint32(noPiece)
	if piece >= 0 {
		n = uint32(piece)
	}
	return AppendExtended(b, id, binary.BigEndian.AppendUint32([]byte{byte(kind)}, n))
}

// ParseOffer reads the payload of such a message in a torrent of so many pieces.
func ParseOffer(payload []byte, pieces int) (kind OfferKind, piece int, err error) {
	if len(payload) != 5 {
		return 0, 0, bad(Extended, "offer: %d bytes long, not 5", len(payload))
	}
	kind = OfferKind(payload[0])
	n := binary.BigEndian.Uint32(payload[1:])
	switch {
	case kind > Want:
		return 0, 0, bad(Extended, "offer: kind %d", kind)
	case n == noPiece && (kind == Full || kind == Want):
		return kind, -1, nil
	case int64(n) >= int64(pieces):
		return 0, 0, bad(Extended, "offer: piece %d of %d", n, pieces)
	}
	return kind, int(n), nil
}
