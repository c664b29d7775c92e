// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bytes"
	"io"
	"testing"
)

// The messages of which there are many must cost no garbage, whichever way they go.
func TestMessagesAllocateNothing(t *testing.T) {
	k := Block{Piece: 1, Begin: 0, Length: 16 << 10}
	var one []byte
	one = AppendHave(one, 1)
	one = AppendRequest(one, k)
	one = AppendCancel(one, k)
	one = AppendReject(one, k)
	one = AppendBitfield(one, []byte{1, 2, 0})
	one = AppendExtended(one, 1, []byte("de"))
	one = append(AppendPieceHeader(one, k), make([]byte, k.Length)...)
	r := NewReader(&loop{b: one}, lim)
	dst := make([]byte, k.Length)
	read := func() {
		m, err := r.Next()
		if err == nil && m.Type == Piece {
			err = r.Payload(dst)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, read); n != 0 {
		t.Errorf("reading allocates %v times a message", n)
	}
	buf := make([]byte, 0, 1024)
	write := func() {
		b := AppendHave(buf[:0], 1)
		b = AppendRequest(b, k)
		b = AppendCancel(b, k)
		b = AppendReject(b, k)
		b = AppendUnchoke(b)
		AppendPieceHeader(b, k)
	}
	if n := testing.AllocsPerRun(1000, write); n != 0 {
		t.Errorf("writing allocates %v times", n)
	}
}

// loop reads b again and again.
type loop struct {
	b  []byte
	at int
}

func (l *loop) Read(p []byte) (n int, err error) {
	n = copy(p, l.b[l.at:])
	l.at = (l.at + n) % len(l.b)
	return n, nil
}

// The payload must be read from the stream into the caller's buffer, all but what came with the
// header.
func TestPayloadIsReadInPlace(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 1<<20)
	dst := make([]byte, len(data))
	src := &placed{Reader: bytes.NewReader(append(AppendPieceHeader(nil, Block{Length: 1 << 20}), data...)), dst: dst}
	r := NewReader(src, Limits{Pieces: 1, MaxBlock: 1 << 20})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Payload(dst); err != nil || !bytes.Equal(dst, data) {
		t.Fatal("payload:", err)
	}
	if most := 16 << 10; src.elsewhere > most {
		t.Fatalf("%d bytes were read elsewhere first, at most %d should be", src.elsewhere, most)
	}
}

// placed counts the bytes that are not read into dst.
type placed struct {
	*bytes.Reader
	dst       []byte
	elsewhere int
}

func (p *placed) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if &b[:cap(b)][cap(b)-1] != &p.dst[len(p.dst)-1] {
		p.elsewhere += n
	}
	return n, err
}

// Whatever a peer sends, a Reader sets no more memory aside than its limits say, and every message
// it lets through is within them.
func FuzzReader(f *testing.F) {
	var all []byte
	for _, c := range golden {
		f.Add(unhex(f, c.hex))
		all = append(all, unhex(f, c.hex)...)
	}
	f.Add(all)
	f.Add(unhex(f, "ffffffff 14"))
	f.Add(unhex(f, "00000003 3f abcd 00000001 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), lim)
		var back []byte
		for {
			m, err := r.Next()
			if err != nil {
				break
			}
			if m.Piece < 0 || m.Piece >= lim.Pieces || m.Block.Piece < 0 || int(m.Block.Piece) >= lim.Pieces ||
				m.Block.Begin < 0 || m.Block.Length < 0 || int(m.Block.Length) > lim.MaxBlock || len(m.Bits) > 3 {
				t.Fatalf("%+v", m)
			}
			p := make([]byte, m.Block.Length)
			if m.Type == Piece && r.Payload(p) != nil {
				break
			}
			back = again(back, m, p)
		}
		if cap(r.large) > defaultMaxExtended {
			t.Fatalf("%d bytes set aside", cap(r.large))
		}
		// What was read, written again, reads the same.
		r = NewReader(bytes.NewReader(back), lim)
		var twice []byte
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			p := make([]byte, m.Block.Length)
			if err == nil && m.Type == Piece {
				err = r.Payload(p)
			}
			if err != nil {
				t.Fatal(err)
			}
			twice = again(twice, m, p)
		}
		if !bytes.Equal(twice, back) {
			t.Fatalf("%x became %x", back, twice)
		}
	})
}

// again appends m as it was read.
func again(b []byte, m Message, payload []byte) []byte {
	switch m.Type {
	case KeepAlive:
		return AppendKeepAlive(b)
	case Have, Suggest, AllowedFast:
		return indexed(b, m.Type, m.Piece)
	case Request, Cancel, Reject:
		return blocked(b, m.Type, m.Block)
	case Piece:
		return append(AppendPieceHeader(b, m.Block), payload...)
	case Bitfield:
		return AppendBitfield(b, m.Bits)
	case Extended:
		return AppendExtended(b, m.ExtID, m.Payload)
	case Port:
		return append(header(b, Port, 2), 0, 0)
	default:
		return bare(b, m.Type)
	}
}
