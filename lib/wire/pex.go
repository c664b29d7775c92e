// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"encoding/binary"
	"net/netip"
)

// MaxPEX is how many addresses of each list a peer exchange message carries or is believed.
const MaxPEX = 200

// AppendPEX appends a peer exchange message (BEP 11), id being the receiver's number for ut_pex.
// Addresses beyond the first MaxPEX of a list are left out: send them in a later message.
func AppendPEX(b []byte, id byte, added, dropped []netip.AddrPort) []byte {
	added4, added6 := compact(added)
	dropped4, dropped6 := compact(dropped)
	d := map[string]any{}
	for key, list := range map[string][]byte{"added": added4, "added6": added6, "dropped": dropped4, "dropped6": dropped6} {
		if len(list) > 0 {
			d[key] = list
		}
	}
	// One byte of flags an address: there is nothing to say, but some clients insist on them.
	if n := len(added4) / 6; n > 0 {
		d["added.f"] = make([]byte, n)
	}
	if n := len(added6) / 18; n > 0 {
		d["added6.f"] = make([]byte, n)
	}
	return AppendExtended(b, id, encode(d))
}

// ParsePEX reads the payload of a peer exchange message. Addresses nobody can listen at are left
// out; whether the others are wise to dial (a peer may name any machine) is for the caller.
func ParsePEX(payload []byte) (added, dropped []netip.AddrPort, err error) {
	var a4, a6, d4, d6 []byte
	err = dict(payload, func(key, value []byte) {
		b, _ := text(value)
		switch string(key) {
		case "added":
			a4 = b
		case "added6":
			a6 = b
		case "dropped":
			d4 = b
		case "dropped6":
			d6 = b
		}
	})
	if err != nil {
		return nil, nil, bad(Extended, "peer exchange: %v", err)
	}
	if len(a4)%6 != 0 || len(d4)%6 != 0 || len(a6)%18 != 0 || len(d6)%18 != 0 {
		return nil, nil, bad(Extended, "peer exchange: list of a length that no addresses have")
	}
	return expand(expand(nil, a4, 4), a6, 16), expand(expand(nil, d4, 4), d6, 16), nil
}

// compact is list as BEP 11 writes it, apart by family.
func compact(list []netip.AddrPort) (v4, v6 []byte) {
	for _, a := range list[:min(len(list), MaxPEX)] {
		if ip := a.Addr().Unmap(); ip.Is4() {
			v4 = binary.BigEndian.AppendUint16(append(v4, ip.AsSlice()...), a.Port())
		} else if ip.Is6() {
			v6 = binary.BigEndian.AppendUint16(append(v6, ip.AsSlice()...), a.Port())
		}
	}
	return v4, v6
}

// expand appends the addresses of b, each of size bytes and a port, to list.
func expand(list []netip.AddrPort, b []byte, size int) []netip.AddrPort {
	for ; len(b) > 0 && len(list) < MaxPEX; b = b[size+2:] {
		ip, _ := netip.AddrFromSlice(b[:size])
		ip = ip.Unmap()
		port := binary.BigEndian.Uint16(b[size:])
		if port == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			continue
		}
		list = append(list, netip.AddrPortFrom(ip, port))
	}
	return list
}
