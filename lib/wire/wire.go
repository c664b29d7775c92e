// SPDX-License-Identifier: GPL-2.0-or-later

// Package wire is the BitTorrent peer wire: the handshake, framing, and payload that goes from a
// file to the network and from the network to its piece buffer without passing through others.
//
// It speaks BEP 3, the fast extension (BEP 6), the extension protocol (BEP 10), peer exchange
// (BEP 11), upload-only (BEP 21) and don't-have (BEP 54). It knows framing and nothing else: what
// a message means, and whether it was due, is for the caller to judge.
//
// Invariants: every length a peer states is checked before memory is set aside or bytes are read
// for it; a message that is refused is a *ProtocolError, after which the connection is of no more
// use; no function starts a goroutine or sets a deadline, so net.Conn's deadlines are the
// caller's and end every wait here.
package wire

import "fmt"

// BlockLength is the block every client serves, in bytes. Ours serve more to one another: see
// Extensions.MaxBlock.
const BlockLength = 16 << 10

// A Type is the byte that says what a message is.
type Type byte

// The messages of BEP 3, BEP 5 (port), BEP 6 and BEP 10.
const (
	Choke         Type = 0
	Unchoke       Type = 1
	Interested    Type = 2
	NotInterested Type = 3
	Have          Type = 4
	Bitfield      Type = 5
	Request       Type = 6
	Piece         Type = 7
	Cancel        Type = 8
	Port          Type = 9
	Suggest       Type = 13
	HaveAll       Type = 14
	HaveNone      Type = 15
	Reject        Type = 16
	AllowedFast   Type = 17
	Extended      Type = 20

	// KeepAlive is the Type of a Message without one, so that it is not taken for a Choke. It
	// is never on the wire.
	KeepAlive Type = 255
)

var typeNames = map[Type]string{
	Choke: "choke", Unchoke: "unchoke", Interested: "interested", NotInterested: "not interested",
	Have: "have", Bitfield: "bitfield", Request: "request", Piece: "piece", Cancel: "cancel",
	Port: "port", Suggest: "suggest", HaveAll: "have all", HaveNone: "have none",
	Reject: "reject", AllowedFast: "allowed fast", Extended: "extended", KeepAlive: "keep-alive",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("message %d", byte(t))
}

// A Block is a run of bytes of one piece.
type Block struct {
	Piece  int32 // index, from 0
	Begin  int32 // offset of the first byte in the piece
	Length int32 // bytes
}

func (b Block) String() string {
	return fmt.Sprintf("%d bytes at %d of piece %d", b.Length, b.Begin, b.Piece)
}

// A Message is what Reader.Next read. Only the fields that its Type names are set.
type Message struct {
	Type      Type
	KeepAlive bool  // no message at all, just a sign of life; Type is KeepAlive
	Piece     int   // have, suggest, allowed fast
	Block     Block // request, cancel, reject; piece, whose Length is that of the payload
	ExtID     byte  // extended: 0 is the extension handshake, the rest as this side numbered them

	// Both are valid until the next call of Next.
	Bits    []byte // bitfield: one bit a piece, spare bits not checked (piece.FromBytes does)
	Payload []byte // extended: what follows the ExtID
}

// A ProtocolError says what a peer sent that no peer may send.
type ProtocolError struct {
	Type   Type
	Reason string
}

func (e *ProtocolError) Error() string { return fmt.Sprintf("bad %v message: %s", e.Type, e.Reason) }

func bad(t Type, format string, args ...any) error {
	return &ProtocolError{Type: t, Reason: fmt.Sprintf(format, args...)}
}
