// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

var lim = Limits{Pieces: 20, MaxBlock: 64 << 10}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those of BEP 3, BEP 6 and BEP 10, written by hand.
var golden = []struct {
	name   string
	append func([]byte) []byte
	hex    string
	want   Message
}{
	{"keep-alive", AppendKeepAlive, "00000000", Message{Type: KeepAlive, KeepAlive: true}},
	{"choke", AppendChoke, "00000001 00", Message{Type: Choke}},
	{"unchoke", AppendUnchoke, "00000001 01", Message{Type: Unchoke}},
	{"interested", AppendInterested, "00000001 02", Message{Type: Interested}},
	{"not interested", AppendNotInterested, "00000001 03", Message{Type: NotInterested}},
	{"have", func(b []byte) []byte { return AppendHave(b, 19) }, "00000005 04 00000013", Message{Type: Have, Piece: 19}},
	{"bitfield", func(b []byte) []byte { return AppendBitfield(b, []byte{0xff, 0, 0x10}) }, "00000004 05 ff0010",
		Message{Type: Bitfield, Bits: []byte{0xff, 0, 0x10}}},
	{"request", func(b []byte) []byte { return AppendRequest(b, Block{2, 0x4000, 0x4000}) },
		"0000000d 06 00000002 00004000 00004000", Message{Type: Request, Block: Block{2, 0x4000, 0x4000}}},
	{"piece", func(b []byte) []byte { return append(AppendPieceHeader(b, Block{3, 5, 4}), "data"...) },
		"0000000d 07 00000003 00000005 64617461", Message{Type: Piece, Block: Block{3, 5, 4}}},
	{"cancel", func(b []byte) []byte { return AppendCancel(b, Block{2, 1, 3}) },
		"0000000d 08 00000002 00000001 00000003", Message{Type: Cancel, Block: Block{2, 1, 3}}},
	{"port", nil, "00000003 09 1ae1", Message{Type: Port}},
	{"suggest", func(b []byte) []byte { return AppendSuggest(b, 1) }, "00000005 0d 00000001", Message{Type: Suggest, Piece: 1}},
	{"have all", AppendHaveAll, "00000001 0e", Message{Type: HaveAll}},
	{"have none", AppendHaveNone, "00000001 0f", Message{Type: HaveNone}},
	{"reject", func(b []byte) []byte { return AppendReject(b, Block{2, 1, 3}) },
		"0000000d 10 00000002 00000001 00000003", Message{Type: Reject, Block: Block{2, 1, 3}}},
	{"allowed fast", func(b []byte) []byte { return AppendAllowedFast(b, 0) }, "00000005 11 00000000", Message{Type: AllowedFast}},
	{"extended", func(b []byte) []byte { return AppendExtended(b, 3, []byte("de")) }, "00000004 14 03 6465",
		Message{Type: Extended, ExtID: 3, Payload: []byte("de")}},
	{"extended without payload", func(b []byte) []byte { return AppendExtended(b, 3, nil) }, "00000002 14 03",
		Message{Type: Extended, ExtID: 3, Payload: []byte{}}},
}

func TestMessagesAreTheBytesOfTheBEPs(t *testing.T) {
	var stream []byte
	for _, c := range golden {
		want := unhex(t, c.hex)
		if c.append != nil {
			if got := c.append([]byte("x")); string(got) != "x"+string(want) {
				t.Errorf("%s: %x, want %x", c.name, got[1:], want)
			}
		}
		stream = append(stream, want...)
		// One we do not know, between any two.
		stream = append(stream, unhex(t, "00000003 3f abcd")...)
	}
	// The same stream in one go, byte by byte, and with its end told along with the last bytes.
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":      func(r io.Reader) io.Reader { return r },
		"bytes":      iotest.OneByteReader,
		"early end":  iotest.DataErrReader,
		"no payload": func(r io.Reader) io.Reader { return r },
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(wrap(bytes.NewReader(stream)), lim)
			for _, c := range golden {
				m, err := r.Next()
				if err != nil || !reflect.DeepEqual(m, c.want) {
					t.Fatalf("%s: %+v, %v, want %+v", c.name, m, err, c.want)
				}
				if p := make([]byte, m.Block.Length); m.Type == Piece && name != "no payload" {
					if err := r.Payload(p); err != nil || string(p) != "data" {
						t.Fatalf("payload %q, %v", p, err)
					}
				}
			}
			if m, err := r.Next(); err != io.EOF {
				t.Fatalf("%+v, %v at the end", m, err)
			}
		})
	}
}

func TestReaderRefusesBeforeItReads(t *testing.T) {
	for _, c := range []struct{ name, hex, want string }{
		{"have of 2 GiB", "80000000 04", "not 4"},
		{"have cut short", "00000004 04", "not 4"},
		{"have a piece too far", "00000005 04 00000014", "piece 20 of 20"},
		{"have a negative piece", "00000005 04 ffffffff", "piece 4294967295 of 20"},
		{"suggest a piece too far", "00000005 0d 00000014", "piece 20 of 20"},
		{"choke with a field", "00000002 00", "not 0"},
		{"request too short", "0000000c 06", "not 12"},
		{"request of nothing", "0000000d 06 00000000 00000000 00000000", "block of 0 bytes"},
		{"request of too much", "0000000d 06 00000000 00000000 00010001", "block of 65537 bytes"},
		{"request of 4 GiB", "0000000d 06 00000000 00000000 ffffffff", "block of 4294967295 bytes"},
		{"request past 31 bits", "0000000d 06 00000000 7fffffff 00000001", "at 2147483647 of a piece"},
		{"cancel a piece too far", "0000000d 08 00000014 00000000 00000001", "piece 20 of 20"},
		{"reject a negative begin", "0000000d 10 00000000 80000000 00000001", "at 2147483648"},
		{"payload of nothing", "00000009 07", "payload of 0 bytes"},
		{"piece without a header", "00000005 07", "payload of -4 bytes"},
		{"payload too long", "0001000a 07", "payload of 65537 bytes"},
		{"payload of 4 GiB", "ffffffff 07", "payload of 4294967286 bytes"},
		{"piece too far", "0000000a 07 00000014 00000000 00", "piece 20 of 20"},
		{"bitfield of 4 GiB", "ffffffff 05", "not 3"},
		{"bitfield too short", "00000003 05", "not 3"},
		{"extended without an id", "00000001 14", "0 bytes long"},
		{"extended of 4 GiB", "ffffffff 14", "at most 65536"},
		{"port of one byte", "00000002 09", "not 2"},
		{"unknown of 4 GiB", "ffffffff c8", "unknown, and 4294967294 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Whoever reads on, or sets memory aside and fills it, meets the error of the stream.
			b := unhex(t, c.hex)
			r := NewReader(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(errors.New("read on"))), lim)
			var bad *ProtocolError
			_, err := r.Next()
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || byte(bad.Type) != b[4] {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestReaderTellsACutStreamFromAnEnd(t *testing.T) {
	var whole []byte
	for _, c := range golden {
		whole = append(whole, unhex(t, c.hex)...)
	}
	whole = append(whole, unhex(t, "00000003 3f abcd")...)
	ends := map[int]bool{len(whole): true}
	for i := 0; i < len(whole); {
		ends[i] = true
		i += 4 + int(binary.BigEndian.Uint32(whole[i:]))
	}
	for n := range whole {
		r := NewReader(bytes.NewReader(whole[:n]), lim)
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[ends[n]]; !errors.Is(err, want) {
			t.Errorf("after %d bytes: %v, want %v", n, err, want)
		}
	}
}

func TestReaderSkipsOnlySoManyUnknownMessages(t *testing.T) {
	unknown := unhex(t, "00000002 3f 00")
	some := append(bytes.Repeat(unknown, maxSkipped-1), AppendHave(nil, 1)...)
	if m, err := NewReader(bytes.NewReader(some), lim).Next(); err != nil || m.Type != Have {
		t.Fatalf("%+v, %v", m, err)
	}
	var bad *ProtocolError
	if _, err := NewReader(bytes.NewReader(bytes.Repeat(unknown, maxSkipped+1)), lim).Next(); !errors.As(err, &bad) {
		t.Fatal(err)
	}
}

func TestLargeMessages(t *testing.T) {
	const pieces = 100_001
	bits := bytes.Repeat([]byte{0xa5}, pieces/8+1)
	ext := bytes.Repeat([]byte("x"), 60000)
	data := bytes.Repeat([]byte("0123456"), 150_000)
	k := Block{Piece: pieces - 1, Begin: 9, Length: int32(len(data))}
	stream := AppendBitfield(nil, bits)
	stream = AppendExtended(stream, 1, ext)
	stream = append(AppendPieceHeader(stream, k), data...)
	stream = append(AppendPieceHeader(stream, k), data...)
	stream = AppendHave(stream, pieces-1)
	r := NewReader(bytes.NewReader(stream), Limits{Pieces: pieces, MaxBlock: 2 << 20})
	if m, err := r.Next(); err != nil || !bytes.Equal(m.Bits, bits) {
		t.Fatal("bitfield:", err)
	}
	if m, err := r.Next(); err != nil || !bytes.Equal(m.Payload, ext) {
		t.Fatal("extended:", err)
	}
	m, err := r.Next()
	if err != nil || m.Block != k {
		t.Fatal("piece:", m, err)
	}
	if err := r.Payload(make([]byte, 5)); err == nil {
		t.Fatal("a payload of another length was read")
	}
	got := make([]byte, k.Length)
	if err := r.Payload(got); err != nil || !bytes.Equal(got, data) {
		t.Fatal("payload:", err)
	}
	if m, err := r.Next(); err != nil || m.Block != k {
		t.Fatal("second piece:", m, err)
	}
	if m, err := r.Next(); err != nil || m.Type != Have {
		t.Fatal("a payload that nobody took was not discarded:", m, err)
	}
}
