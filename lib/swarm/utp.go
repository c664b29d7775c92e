// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"encoding/binary"
	"net"
	"time"
)

// uTP (BEP 29) is BitTorrent over UDP. We do not speak it, and say so: most clients try it first,
// and one that hears nothing waits for seconds before it tries TCP. Transmission 3.00 waits forever:
// it looks after its timers only once it has been sent something, and ignores what ICMP says.
const (
	utpHeader  = 20
	utpVersion = 1
	utpReset   = 3
	utpSyn     = 4
)

// listenUTP is the UDP socket at our TCP address, nil when that is taken: it only spares others time.
func (p *Port) listenUTP(a *net.TCPAddr) net.PacketConn {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone})
	if err != nil {
		p.log.Debug("no UDP socket to refuse uTP at", "err", err)
		return nil
	}
	return pc
}

// refuseUTP resets every connection that is begun, which takes no more bytes than it brought.
func (p *Port) refuseUTP() {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.utp.ReadFrom(buf)
		if err != nil {
			if p.ctx.Err() != nil {
				return
			}
			select { // some error that a packet of ours caused, or a network that is down
			case <-p.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if reset := utpRefusal(buf[:n]); reset != nil {
			_, _ = p.utp.WriteTo(reset, from) // if it is lost, the next attempt is answered
		}
	}
}

// utpRefusal is the answer to a packet that begins a uTP connection, nil to any other.
func utpRefusal(p []byte) []byte {
	if len(p) < utpHeader || p[0] != utpSyn<<4|utpVersion {
		return nil
	}
	r := make([]byte, utpHeader)
	r[0] = utpReset<<4 | utpVersion
	copy(r[2:4], p[2:4]) // connection id
	copy(r[8:12], p[4:8])
	copy(r[18:20], p[16:18]) // acknowledged: its sequence number
	binary.BigEndian.PutUint32(r[4:8], uint32(time.Now().UnixMicro()))
	return r
}
