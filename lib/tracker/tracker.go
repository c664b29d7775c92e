// SPDX-License-Identifier: GPL-2.0-or-later

// Package tracker is how the machines of one deployment find each other: the HTTP tracker and web
// page inside ezio-seed, and the client with which ezio-seed and ezio-recv announce themselves to
// it and to any other tracker (HTTP and UDP).
//
// Formats: announce BEP 3, compact answers BEP 23, IPv6 BEP 7, scrape BEP 48, UDP BEP 15 with the
// options of BEP 41.
//
// Invariants of the server: a peer's address is the one its connection comes from, never one it
// claims; nobody is handed out to himself; what a peer id says is believed only from whoever said
// it first; memory is bounded by MaxPeers. Invariants of the client: what a tracker answers is
// bounded in size and time before it is looked at, and nothing a tracker does ends Run.
package tracker

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/anacrolix/torrent/tracker/shared"
)

// event is BEP 3's event key; its values are the numbers of BEP 15.
type event = shared.AnnounceEvent

// appendCompact adds a peer as BEP 23 and BEP 7 write it: 4 or 16 bytes of address, 2 of port.
func appendCompact(b []byte, p netip.AddrPort) []byte {
	b = append(b, p.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, p.Port())
}

// parseCompact reads a list that appendCompact writes; width is the address's bytes, 4 or 16.
// Addresses that nobody can be reached at are left out.
func parseCompact(b []byte, width int) ([]netip.AddrPort, error) {
	if len(b)%(width+2) != 0 {
		return nil, fmt.Errorf("list of peers is %d bytes, not a multiple of %d", len(b), width+2)
	}
	list := make([]netip.AddrPort, 0, min(len(b)/(width+2), maxAnswerPeers))
	for ; len(b) > 0 && len(list) < maxAnswerPeers; b = b[width+2:] {
		ip, _ := netip.AddrFromSlice(b[:width])
		if p, ok := dialable(ip, int64(binary.BigEndian.Uint16(b[width:]))); ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// dialable says whether a connection to that address can mean anything, and brings the address
// into its one form: IPv4 as IPv4, no zone, since a zone is a name on some other machine.
func dialable(ip netip.Addr, port int64) (netip.AddrPort, bool) {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || port < 1 || port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}

// ipOf is the address part of one end of a connection, in the form dialable gives; invalid when
// the connection is not an IP one.
func ipOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}
