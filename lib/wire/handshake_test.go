// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	infoHashHex = "0102030405060708090a0b0c0d0e0f1011121314"
	peerIDHex   = "2d455a303130302d6162636465666768696a6b6c" // -EZ0100-abcdefghijkl
)

// From BEP 3: 19, the name, eight reserved bytes, infohash, peer id. The bits are those of BEP 6
// (0x04 of the last byte) and BEP 10 (0x10 of the sixth).
const handshakeHex = "13 426974546f7272656e742070726f746f636f6c 0000000000100004" + infoHashHex + peerIDHex

func TestHandshakeIsThatOfTheBEPs(t *testing.T) {
	h := NewHandshake([20]byte(unhex(t, infoHashHex)), [20]byte(unhex(t, peerIDHex)))
	if !h.Fast() || !h.Extended() {
		t.Fatal("ours offers less than it can")
	}
	var b bytes.Buffer
	if err := WriteHandshake(&b, h); err != nil || !bytes.Equal(b.Bytes(), unhex(t, handshakeHex)) {
		t.Fatalf("wrote %x, %v", b.Bytes(), err)
	}
	b.WriteString("next")
	got, err := ReadHandshake(iotest.OneByteReader(&b))
	if err != nil || got != h || b.String() != "next" {
		t.Fatalf("read %+v, %v, and left %q", got, err, b.String())
	}
	if plain := (Handshake{}); plain.Fast() || plain.Extended() {
		t.Fatal("a client of BEP 3 alone was taken for more")
	}
	if err := WriteHandshake(failing{}, h); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReadHandshakeRefuses(t *testing.T) {
	whole := string(unhex(t, handshakeHex))
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", io.EOF},
		{"a part of the name", whole[:10], io.ErrUnexpectedEOF},
		{"no more than the name", whole[:20], io.ErrUnexpectedEOF},
		{"a part of the peer id", whole[:67], io.ErrUnexpectedEOF},
		// Waiting for the rest of a handshake here would be waiting for ever.
		{"another protocol", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ErrNotBitTorrent},
		{"another length", "\x12" + whole[1:], ErrNotBitTorrent},
		{"the start of an encrypted one", strings.Repeat("\x90\xcf", 48), ErrNotBitTorrent},
	} {
		if _, err := ReadHandshake(strings.NewReader(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add(unhex(f, handshakeHex))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHandshake(bytes.NewReader(b))
		if err != nil {
			return
		}
		var back bytes.Buffer
		if err := WriteHandshake(&back, h); err != nil || !bytes.HasPrefix(b, back.Bytes()) {
			t.Fatalf("%x became %x, %v", b, back.Bytes(), err)
		}
	})
}
