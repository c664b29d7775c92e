// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import "encoding/binary"

// Each of these appends one message to b, as append does, so that a connection can queue many and
// send them in one write.

// AppendKeepAlive appends the message without content, a sign of life.
func AppendKeepAlive(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// AppendChoke and the rest of the messages without a field.
func AppendChoke(b []byte) []byte         { return bare(b, Choke) }
func AppendUnchoke(b []byte) []byte       { return bare(b, Unchoke) }
func AppendInterested(b []byte) []byte    { return bare(b, Interested) }
func AppendNotInterested(b []byte) []byte { return bare(b, NotInterested) }
func AppendHaveAll(b []byte) []byte       { return bare(b, HaveAll) }
func AppendHaveNone(b []byte) []byte      { return bare(b, HaveNone) }

// AppendHave and the other messages about one piece.
func AppendHave(b []byte, piece int) []byte        { return indexed(b, Have, piece) }
func AppendSuggest(b []byte, piece int) []byte     { return indexed(b, Suggest, piece) }
func AppendAllowedFast(b []byte, piece int) []byte { return indexed(b, AllowedFast, piece) }

// AppendRequest and the other messages about one block.
func AppendRequest(b []byte, k Block) []byte { return blocked(b, Request, k) }
func AppendCancel(b []byte, k Block) []byte  { return blocked(b, Cancel, k) }
func AppendReject(b []byte, k Block) []byte  { return blocked(b, Reject, k) }

// AppendBitfield appends the pieces this side has, laid out as piece.Bitfield.Bytes is.
func AppendBitfield(b, bits []byte) []byte {
	return append(header(b, Bitfield, len(bits)), bits...)
}

// AppendPieceHeader appends all of a piece message but its payload, the k.Length bytes that must
// come next: see SendBlock.
func AppendPieceHeader(b []byte, k Block) []byte {
	b = header(b, Piece, 8+int(k.Length))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Piece))
	return binary.BigEndian.AppendUint32(b, uint32(k.Begin))
}

// AppendExtended appends a message of the extension protocol (BEP 10), id being the number the
// receiver gave to it.
func AppendExtended(b []byte, id byte, payload []byte) []byte {
	return append(append(header(b, Extended, 1+len(payload)), id), payload...)
}

// header appends the length and the type of a message whose fields take n bytes.
func header(b []byte, t Type, n int) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(1+n)), byte(t))
}

func bare(b []byte, t Type) []byte { return header(b, t, 0) }

func indexed(b []byte, t Type, piece int) []byte {
	return binary.BigEndian.AppendUint32(header(b, t, 4), uint32(piece))
}

func blocked(b []byte, t Type, k Block) []byte {
	b = header(b, t, 12)
	b = binary.BigEndian.AppendUint32(b, uint32(k.Piece))
	b = binary.BigEndian.AppendUint32(b, uint32(k.Begin))
	return binary.BigEndian.AppendUint32(b, uint32(k.Length))
}
