// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode"
)

// ExtHandshake is the ExtID of the extension handshake (BEP 10).
const ExtHandshake = 0

// Extensions is what one side says of itself in the extension handshake. The ids are the ones it
// gave to messages sent to it: 0 means that it takes none of that kind.
type Extensions struct {
	PEX      byte // ut_pex (BEP 11)
	DontHave byte // lt_donthave (BEP 54)
	Offers   byte // ezio_offer, our own

	Port         uint16 // where it listens; 0 when it did not say
	Client       string // name and version, for people
	RequestQueue int    // requests it keeps before it drops some; 0 when it did not say
	UploadOnly   bool   // it wants nothing (BEP 21)
	Shows        bool   // it is a seed of our kind, which shows its pieces one by one

	// MaxBlock is the largest block it sends on request, in bytes. 0, of all clients but ours,
	// means BlockLength.
	MaxBlock int
}

const (
	maxClient  = 64      // bytes of a client's name kept
	maxRequest = 1 << 16 // a queue said to be longer than that is no promise worth keeping
)

// AppendExtensions appends the extension handshake.
func AppendExtensions(b []byte, e Extensions) []byte {
	m := map[string]any{}
	if e.PEX != 0 {
		m["ut_pex"] = int(e.PEX)
	}
	if e.DontHave != 0 {
		m["lt_donthave"] = int(e.DontHave)
	}
	if e.Offers != 0 {
		m["ezio_offer"] = int(e.Offers)
	}
	d := map[string]any{"m": m}
	if e.Port != 0 {
		d["p"] = int(e.Port)
	}
	if e.Client != "" {
		d["v"] = e.Client
	}
	if e.RequestQueue > 0 {
		d["reqq"] = e.RequestQueue
	}
	if e.UploadOnly {
		d["upload_only"] = 1
	}
	ours := map[string]any{}
	if e.MaxBlock > 0 {
		ours["block"] = e.MaxBlock
	}
	if e.Shows {
		ours["shows"] = 1
	}
	if len(ours) > 0 {
		d["ezio"] = ours
	}
	return AppendExtended(b, ExtHandshake, encode(d))
}

// ParseExtensions reads the payload of an extension handshake. Values that are absent,
// unknown or out of range leave their zero value: clients differ.
func ParseExtensions(payload []byte) (Extensions, error) {
	var e Extensions
	err := e.Update(payload)
	return e, err
}

// Update reads a further extension handshake, which changes what it names and leaves the rest.
// On an error e is as it was.
func (e *Extensions) Update(payload []byte) error {
	n := *e
	var inner error
	err := dict(payload, func(key, value []byte) {
		switch string(key) {
		case "m":
			inner = n.updateIDs(value)
		case "p":
			n.Port = uint16(number(value, math.MaxUint16))
		case "v":
			n.Client = clientName(value)
		case "reqq":
			n.RequestQueue = min(number(value, math.MaxInt32), maxRequest)
		case "upload_only":
			n.UploadOnly = number(value, math.MaxInt32) != 0
		case "ezio":
			inner = n.updateOurs(value)
		}
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return bad(Extended, "extension handshake: %v", err)
	}
	*e = n
	return nil
}

func (e *Extensions) updateIDs(m []byte) error {
	return dict(m, func(key, value []byte) {
		switch string(key) {
		case "ut_pex":
			e.PEX = byte(number(value, math.MaxUint8))
		case "lt_donthave":
			e.DontHave = byte(number(value, math.MaxUint8))
		case "ezio_offer":
			e.Offers = byte(number(value, math.MaxUint8))
		}
	})
}

func (e *Extensions) updateOurs(m []byte) error {
	return dict(m, func(key, value []byte) {
		if string(key) == "shows" {
			e.Shows = number(value, math.MaxInt32) != 0
			return
		}
		// Less than every client serves is no offer, and would make us ask byte by byte.
		if n := number(value, math.MaxInt32); string(key) == "block" && n > BlockLength {
			e.MaxBlock = n
		} else if string(key) == "block" {
			e.MaxBlock = 0
		}
	})
}

// number is the raw value v as a number from 0 to most; anything else is 0.
func number(v []byte, most int) int {
	if n, ok := integer(v); ok && n >= 0 && n <= int64(most) {
		return int(n)
	}
	return 0
}

// clientName is the raw value v as a string fit for a terminal.
func clientName(v []byte) string {
	b, _ := text(v)
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(b[:min(len(b), maxClient)]))
}

// AppendDontHave appends the message that takes back a have (BEP 54), id being the receiver's
// number for it.
func AppendDontHave(b []byte, id byte, piece int) []byte {
	return AppendExtended(b, id, binary.BigEndian.AppendUint32(nil, uint32(piece)))
}

// ParseDontHave reads the payload of that message in a torrent of so many pieces.
func ParseDontHave(payload []byte, pieces int) (piece int, err error) {
	if len(payload) != 4 {
		return 0, bad(Extended, "don't have: %d bytes long, not 4", len(payload))
	}
	i := binary.BigEndian.Uint32(payload)
	if int64(i) >= int64(pieces) {
		return 0, bad(Extended, "don't have: piece %d of %d", i, pieces)
	}
	return int(i), nil
}
