// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// ReadAhead is how many bytes a Reader asks its stream for when it does not know what will come. When
// it asks for more they are the rest of a block.
const ReadAhead = 8 << 10

const (
	readBuffer = ReadAhead // holds many small messages; what is larger is read past it

	defaultMaxExtended = 64 << 10

	// A client newer than this code sends a few messages we do not know; one that sends nothing
	// else wants to keep us busy.
	maxSkipped = 1000
)

// Limits is what a Reader accepts of a peer.
type Limits struct {
	Pieces      int // in the torrent; every index is below it and a bitfield has this many bits
	MaxBlock    int // bytes of the largest block, in request and in payload; 0 means BlockLength
	MaxExtended int // bytes of the largest extended or unknown message; 0 means 64 KiB
}

// A Reader reads messages. It is for one goroutine, and the only reader of its stream: it reads
// ahead by up to 8 KiB.
type Reader struct {
	br      *bufio.Reader
	lim     Limits
	payload int    // bytes of the piece message at hand that nobody has read
	large   []byte // holds a bitfield or extended message that br cannot
}

// NewReader is a Reader of the messages that follow the handshake on r.
func NewReader(r io.Reader, lim Limits) *Reader {
	if lim.MaxBlock <= 0 {
		lim.MaxBlock = BlockLength
	}
	if lim.MaxExtended <= 0 {
		lim.MaxExtended = defaultMaxExtended
	}
	return &Reader{br: bufio.NewReaderSize(r, readBuffer), lim: lim}
}

// Next reads the next message. Of a piece message it reads the header; Payload or Discard takes
// the rest, and so does the next Next. Types unknown to this package are skipped. The error is
// io.EOF when the stream ended between two messages, a *ProtocolError for a message that cannot
// be, and otherwise wraps that of the stream.
func (r *Reader) Next() (Message, error) {
	if err := r.Discard(); err != nil {
		return Message{}, err
	}
	for range maxSkipped {
		n, err := r.length()
		if err != nil {
			return Message{}, err
		}
		if n == 0 {
			return Message{Type: KeepAlive, KeepAlive: true}, nil
		}
		head, err := r.take(1)
		if err != nil {
			return Message{}, err
		}
		m, known, err := r.body(Type(head[0]), int64(n)-1)
		if known || err != nil {
			return m, err
		}
	}
	return Message{}, &ProtocolError{Type: KeepAlive, Reason: "nothing but unknown messages"}
}

// length reads how many bytes the next message has after the length itself.
func (r *Reader) length() (uint32, error) {
	b, err := r.br.Peek(4)
	if err != nil {
		if err == io.EOF && len(b) == 0 {
			return 0, io.EOF
		}
		return 0, fmt.Errorf("read message: %w", cut(err))
	}
	n := binary.BigEndian.Uint32(b)
	r.br.Discard(4)
	return n, nil
}

// take reads n bytes, at most readBuffer, that stay valid until the next read.
func (r *Reader) take(n int) ([]byte, error) {
	b, err := r.br.Peek(n)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", cut(err))
	}
	r.br.Discard(n)
	return b, nil
}

// body reads the n bytes of fields of a message, or of a piece message its header. A message of
// a type that is not known is skipped.
func (r *Reader) body(t Type, n int64) (m Message, known bool, err error) {
	m.Type = t
	switch t {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		err = exactly(t, n, 0)
	case Have, Suggest, AllowedFast:
		m.Piece, err = r.index(t, n)
	case Request, Cancel, Reject:
		m.Block, err = r.block(t, n)
	case Piece:
		m.Block, err = r.pieceHeader(n)
	case Bitfield:
		m.Bits, err = r.bits(n)
	case Extended:
		m.ExtID, m.Payload, err = r.extended(n)
	case Port: // for the DHT, which nobody needs who has a tracker
		if err = exactly(t, n, 2); err == nil {
			_, err = r.take(2)
		}
	default:
		return m, false, r.skip(t, n)
	}
	if err != nil {
		return Message{}, true, err
	}
	return m, true, nil
}

func exactly(t Type, n, want int64) error {
	if n != want {
		return bad(t, "%d bytes long, not %d", n, want)
	}
	return nil
}

func (r *Reader) index(t Type, n int64) (int, error) {
	if err := exactly(t, n, 4); err != nil {
		return 0, err
	}
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return r.checkIndex(t, binary.BigEndian.Uint32(b))
}

func (r *Reader) checkIndex(t Type, i uint32) (int, error) {
	if int64(i) >= int64(r.lim.Pieces) || i > math.MaxInt32 {
		return 0, bad(t, "piece %d of %d", i, r.lim.Pieces)
	}
	return int(i), nil
}

func (r *Reader) block(t Type, n int64) (Block, error) {
	if err := exactly(t, n, 12); err != nil {
		return Block{}, err
	}
	b, err := r.take(12)
	if err != nil {
		return Block{}, err
	}
	return r.checkBlock(t, b, int64(binary.BigEndian.Uint32(b[8:])))
}

// checkBlock reads index and begin from b and refuses what no piece can hold. Where the piece
// really ends is for the caller to check.
func (r *Reader) checkBlock(t Type, b []byte, length int64) (Block, error) {
	i, err := r.checkIndex(t, binary.BigEndian.Uint32(b))
	if err != nil {
		return Block{}, err
	}
	begin := int64(binary.BigEndian.Uint32(b[4:]))
	switch {
	case length == 0 || length > int64(r.lim.MaxBlock):
		return Block{}, bad(t, "block of %d bytes, at most %d are served", length, r.lim.MaxBlock)
	case begin+length > math.MaxInt32:
		return Block{}, bad(t, "block of %d bytes at %d of a piece", length, begin)
	}
	return Block{Piece: int32(i), Begin: int32(begin), Length: int32(length)}, nil
}

func (r *Reader) pieceHeader(n int64) (Block, error) {
	if n <= 8 || n-8 > int64(r.lim.MaxBlock) {
		return Block{}, bad(Piece, "payload of %d bytes, at most %d were asked for", n-8, r.lim.MaxBlock)
	}
	b, err := r.take(8)
	if err != nil {
		return Block{}, err
	}
	k, err := r.checkBlock(Piece, b, n-8)
	if err != nil {
		return Block{}, err
	}
	r.payload = int(k.Length)
	return k, nil
}

func (r *Reader) bits(n int64) ([]byte, error) {
	if err := exactly(Bitfield, n, (int64(r.lim.Pieces)+7)/8); err != nil {
		return nil, err
	}
	return r.hold(int(n))
}

func (r *Reader) extended(n int64) (byte, []byte, error) {
	if n < 1 || n > int64(r.lim.MaxExtended) {
		return 0, nil, bad(Extended, "%d bytes long, at most %d are read", n, r.lim.MaxExtended)
	}
	b, err := r.hold(int(n))
	if err != nil {
		return 0, nil, err
	}
	return b[0], b[1:], nil
}

// hold reads n bytes that stay valid until the next message, whatever n.
func (r *Reader) hold(n int) ([]byte, error) {
	if n <= readBuffer {
		return r.take(n)
	}
	if cap(r.large) < n {
		r.large = make([]byte, n)
	}
	b := r.large[:n]
	if _, err := io.ReadFull(r.br, b); err != nil {
		return nil, fmt.Errorf("read message: %w", cut(err))
	}
	return b, nil
}

func (r *Reader) skip(t Type, n int64) error {
	if n > int64(r.lim.MaxExtended) {
		return bad(t, "unknown, and %d bytes long", n)
	}
	if _, err := r.br.Discard(int(n)); err != nil {
		return fmt.Errorf("read message: %w", cut(err))
	}
	return nil
}

// Payload reads the payload of the piece message that Next returned into dst, which must have its
// length, straight from the stream but for what was read ahead.
func (r *Reader) Payload(dst []byte) error {
	if len(dst) != r.payload {
		return fmt.Errorf("read payload of %d bytes into %d", r.payload, len(dst))
	}
	r.payload = 0
	if _, err := io.ReadFull(r.br, dst); err != nil {
		return fmt.Errorf("read payload: %w", cut(err))
	}
	return nil
}

// Discard reads the payload of the piece message that Next returned and drops it. It does nothing
// when there is none, or none left.
func (r *Reader) Discard() error {
	n := r.payload
	r.payload = 0
	if _, err := r.br.Discard(n); err != nil {
		return fmt.Errorf("read payload: %w", cut(err))
	}
	return nil
}
