// SPDX-License-Identifier: GPL-2.0-or-later

package swarm

import (
	"fmt"
	"os"

	alog "github.com/anacrolix/log"
	"github.com/anacrolix/torrent"
	"golang.org/x/time/rate"
)

// burst is the upload limiter's bucket: at least one block of the largest size asked for.
const burst = 256 << 10

// clientConfig sets the engine up for a deployment: plain TCP among machines of one owner. There
// is nothing to hide from, no router to ask for ports and no world to ask for peers.
func (s *Swarm) clientConfig() (*torrent.ClientConfig, error) {
	listen := s.cfg.Listen
	if listen == "" {
		listen = ":0"
	}
	host, port, err := splitListen(listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", listen, err)
	}
	cc := torrent.NewDefaultClientConfig()
	cc.ListenHost = func(string) string { return host }
	cc.ListenPort = port
	cc.NoDHT = true
	cc.DisableUTP = true
	cc.NoDefaultPortForwarding = true
	cc.DisableTrackers = true // lib/tracker announces
	cc.DisableWebtorrent = true
	cc.DisableWebseeds = true
	_, noIPv6 := os.Stat("/proc/net/if_inet6")
	cc.DisableIPv6 = noIPv6 != nil

	cc.Seed = true
	cc.AlwaysWantConns = true
	cc.DropMutuallyCompletePeers = false // a peer that is done is still counted
	cc.HeaderObfuscationPolicy = torrent.HeaderObfuscationPolicy{}
	cc.EstablishedConnsPerTorrent = s.cfg.MaxPeers
	cc.HalfOpenConnsPerTorrent = 32
	cc.DialRateLimiter = rate.NewLimiter(100, 100)

	// With its default of 1 MiB a peer on a fast link waits for the disk again and again.
	cc.MaxAllocPeerRequestDataPerConn = 16 << 20
	// Pieces are held in memory until they are whole. This bounds them, whatever the swarm's size.
	cc.MaxUnverifiedBytes = max(64<<20, 2*s.torrent.Layout.Length)

	s.limiter = rate.NewLimiter(s.finalRate(), burst)
	cc.UploadRateLimiter = s.limiter

	cc.ExtendedHandshakeClientVersion = "EZIO"
	cc.Bep20 = "-EZ0001-"
	cc.HTTPUserAgent = "ezio"
	cc.Slogger = s.cfg.Log
	cc.Logger = alog.Logger{}.WithFilterLevel(alog.Disabled)
	return cc, nil
}
