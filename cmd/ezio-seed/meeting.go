// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/netif"
	"ezio/lib/swarm"
	"ezio/lib/tracker"
)

// A meetingPoint is where receivers find the seed: its own tracker, unless --no-tracker, and the
// trackers that the torrent names.
type meetingPoint struct {
	iface  *netif.Interface // nil for any
	server *tracker.Server  // nil without our own tracker
	ln     net.Listener
	client *tracker.Client
	failed chan error // the tracker's server broke
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func openMeetingPoint(c *cli.Call, iface *netif.Interface, t *metainfo.Torrent, sw *swarm.Swarm, log *slog.Logger) (*meetingPoint, error) {
	ctx, cancel := context.WithCancel(c.Context.Context)
	m := &meetingPoint{iface: iface, cancel: cancel, failed: make(chan error, 1)}
	if !c.Bool("no-tracker") {
		ln, err := iface.Listen(c.String("tracker-listen"))
		if err != nil {
			cancel()
			if errors.Is(err, syscall.EADDRINUSE) {
				err = syscall.EADDRINUSE
			}
			return nil, cli.Failf("listen on %s for the tracker: %w", c.String("tracker-listen"), err).
				WithHint("choose another port with --tracker-listen, or --no-tracker")
		}
		m.ln = ln
		m.server = tracker.NewServer(tracker.ServerConfig{
			InfoHash:    t.InfoHash,
			Name:        t.Name,
			Size:        t.Layout.Size,
			Pieces:      len(t.Pieces),
			PieceLength: t.Layout.Length,
			Torrent:     t.WithAnnounce,
			SeedPort:    sw.Port(),
			Log:         log,
		})
		m.wg.Go(func() {
			if err := m.server.Serve(ctx, ln); err != nil && ctx.Err() == nil {
				m.failed <- fmt.Errorf("tracker: %w", err)
			}
		})
		m.wg.Go(func() { m.seekOut(ctx, sw) })
	}
	m.client = tracker.NewClient(tracker.ClientConfig{
		Trackers: m.others(ctx, t.Trackers),
		InfoHash: t.InfoHash,
		PeerID:   sw.PeerID(),
		Port:     uint16(sw.Port()),
		Peers:    sw.AddPeers,
		Log:      log,

		DialContext: iface.DialContext,
		Stats:       func() tracker.Stats { return tracker.Stats{Uploaded: sw.Stats().Up} },
	})
	m.wg.Go(func() { m.client.Run(ctx) })
	return m, nil
}

// How long receivers are given to find us before we go to them, and how often we look.
const (
	comeYourself = 2 * time.Second
	lookEvery    = time.Second
)

// seekOut has the swarm connect to those who announced themselves to our tracker and do not come.
// Transmission 3.00 does not when its attempt by uTP fails.
func (m *meetingPoint) seekOut(ctx context.Context, sw *swarm.Swarm) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	told := map[[20]byte]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, r := range m.server.Receivers() {
				if r.Live && r.Left > 0 && !told[r.ID] && now.Sub(r.FirstSeen) > comeYourself {
					told[r.ID] = true
					sw.AddPeers([]netip.AddrPort{r.Addr})
				}
			}
		}
	}
}

func (m *meetingPoint) close() {
	m.cancel()
	m.wg.Wait()
}

// port is the tracker's TCP port, 0 without one.
func (m *meetingPoint) port() int {
	if m.ln == nil {
		return 0
	}
	return m.ln.Addr().(*net.TCPAddr).Port
}

// others is the trackers to announce to: all the torrent names but our own, which knows us.
func (m *meetingPoint) others(ctx context.Context, tiers [][]string) []string {
	var list []string
	for _, tier := range tiers {
		for _, u := range tier {
			if !m.isOwn(ctx, u) {
				list = append(list, u)
			}
		}
	}
	return list
}

func (m *meetingPoint) isOwn(ctx context.Context, announce string) bool {
	u, err := url.Parse(announce)
	if err != nil || m.ln == nil || u.Scheme != "http" {
		return false
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if port != strconv.Itoa(m.port()) {
		return false
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return false
	}
	own := ownAddresses()
	return slices.ContainsFunc(ips, func(ip netip.Addr) bool {
		return ip.IsLoopback() || slices.Contains(own, ip.Unmap())
	})
}

// ownAddresses is this machine's addresses, IPv4 first.
func ownAddresses() []netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		if ip = ip.Unmap(); ip.Is4() {
			v4 = append(v4, ip)
		} else if !ip.IsLinkLocalUnicast() {
			v6 = append(v6, ip)
		}
	}
	return append(v4, v6...)
}

// invitation is what the operator types on the receivers.
func (m *meetingPoint) invitation(t *metainfo.Torrent) []string {
	if m.ln == nil {
		return []string{fmt.Sprintf("serving %s, infohash %s", t.Name, t.InfoHash)}
	}
	lines := []string{fmt.Sprintf("serving %s, infohash %s; on the receivers:", t.Name, t.InfoHash)}
	host := m.ln.Addr().(*net.TCPAddr).IP
	addrs := ownAddresses()
	if own, err := m.iface.Addrs(); err == nil && len(own) > 0 {
		addrs = own
	} else if ip, ok := netip.AddrFromSlice(host); ok && !ip.IsUnspecified() {
		addrs = []netip.Addr{ip.Unmap()}
	} else if len(addrs) > 1 {
		addrs = slices.DeleteFunc(addrs, netip.Addr.IsLoopback)
	}
	for _, ip := range addrs {
		at := netip.AddrPortFrom(ip, uint16(m.port()))
		lines = append(lines, fmt.Sprintf("  ezio-recv -t http://%s/a.torrent -d TARGET", at))
	}
	return lines
}

// finished is how many receivers have everything: those that told the tracker so, or, without a
// tracker, those seen connected with every piece; done remembers the latter.
func (m *meetingPoint) finished(sw *swarm.Swarm, done map[[20]byte]bool) int {
	if m.server != nil {
		return m.server.Finished()
	}
	for _, id := range sw.CompletePeers() {
		done[id] = true
	}
	return len(done)
}
