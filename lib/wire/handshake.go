// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"errors"
	"fmt"
	"io"
)

const (
	protocol     = "\x13BitTorrent protocol"
	handshakeLen = len(protocol) + 8 + 20 + 20
)

// ErrNotBitTorrent is what ReadHandshake says of a stream that begins as something else, such as
// the encrypted handshake some clients try first.
var ErrNotBitTorrent = errors.New("not a BitTorrent handshake")

// A Handshake is the first thing each side sends (BEP 3).
type Handshake struct {
	Reserved [8]byte // what the sender can do beyond BEP 3
	InfoHash [20]byte
	PeerID   [20]byte
}

// NewHandshake is ours: it offers the fast extension and the extension protocol.
func NewHandshake(infoHash, peerID [20]byte) Handshake {
	h := Handshake{InfoHash: infoHash, PeerID: peerID}
	h.Reserved[5] |= 0x10
	h.Reserved[7] |= 0x04
	return h
}

// Fast says whether the sender knows the fast extension (BEP 6), Extended whether it knows the
// extension protocol (BEP 10). Either is in force only when both sides said so.
func (h Handshake) Fast() bool     { return h.Reserved[7]&0x04 != 0 }
func (h Handshake) Extended() bool { return h.Reserved[5]&0x10 != 0 }

// WriteHandshake sends h in one write.
func WriteHandshake(w io.Writer, h Handshake) error {
	b := make([]byte, 0, handshakeLen)
	b = append(b, protocol...)
	b = append(b, h.Reserved[:]...)
	b = append(b, h.InfoHash[:]...)
	b = append(b, h.PeerID[:]...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write handshake: %w", err)
	}
	return nil
}

// ReadHandshake reads a handshake and not a byte more. The name of the protocol is judged as soon
// as it is there: who speaks another may never send as much as a whole handshake.
func ReadHandshake(r io.Reader) (Handshake, error) {
	var b [handshakeLen]byte
	if _, err := io.ReadFull(r, b[:len(protocol)]); err != nil {
		return Handshake{}, fmt.Errorf("read handshake: %w", err)
	}
	if string(b[:len(protocol)]) != protocol {
		return Handshake{}, fmt.Errorf("read handshake: %w", ErrNotBitTorrent)
	}
	rest := b[len(protocol):]
	if _, err := io.ReadFull(r, rest); err != nil {
		return Handshake{}, fmt.Errorf("read handshake: %w", cut(err))
	}
	var h Handshake
	copy(h.Reserved[:], rest)
	copy(h.InfoHash[:], rest[8:])
	copy(h.PeerID[:], rest[28:])
	return h, nil
}

// cut is err, seen in the middle of something: an end there is not a clean one.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
