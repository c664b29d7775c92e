// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// segments are the networks that this machine's interfaces are on: what is there is reached without a
// router, and usually over no link that is narrower than its own.
type segments []netip.Prefix

func localSegments() segments {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then nobody is near, and all are alike
	}
	var list segments
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

// near says whether an address is on one of the segments.
func (s segments) near(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range s {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// key is a peer id as a number: what is random of it.
func key(id [20]byte) uint64 { return binary.BigEndian.Uint64(id[12:]) }
