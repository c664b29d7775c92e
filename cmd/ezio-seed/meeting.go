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
	"strings"
	"sync"
	"syscall"
	"time"

	"ezio/lib/cli"
	"ezio/lib/netif"
	"ezio/lib/page"
	"ezio/lib/report"
	"ezio/lib/roster"
	"ezio/lib/tracker"
)

// A meetingPoint is where receivers find the seed: its own tracker and page, unless --no-tracker, and
// the trackers that the torrents name.
type meetingPoint struct {
	iface  *netif.Interface // nil for any
	images []*image
	server *tracker.Server // nil without our own tracker
	ln     net.Listener
	failed chan error // the tracker's server broke
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// openMeetingPoint makes the images known; port is that for peers.
func openMeetingPoint(c *cli.Call, iface *netif.Interface, images []*image, port int, log *slog.Logger) (*meetingPoint, error) {
	ctx, cancel := context.WithCancel(c.Context.Context)
	m := &meetingPoint{iface: iface, images: images, cancel: cancel, failed: make(chan error, 1)}
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
			Torrents:   tracked(images, port),
			Pages:      page.New(page.Config{Status: m.status, Report: m.report, Version: cli.Version, Log: log}),
			ReportPath: report.Path,
			Log:        log,
		})
		m.wg.Go(func() {
			if err := m.server.Serve(ctx, ln); err != nil && ctx.Err() == nil {
				m.failed <- fmt.Errorf("tracker: %w", err)
			}
		})
	}
	for i, im := range images {
		client := tracker.NewClient(tracker.ClientConfig{
			Trackers: m.others(ctx, im.t.Trackers),
			InfoHash: im.t.InfoHash,
			PeerID:   im.sw.PeerID(),
			Port:     uint16(port),
			Peers:    im.sw.AddPeers,
			Log:      log,

			DialContext: iface.DialContext,
			Stats:       func() tracker.Stats { return tracker.Stats{Uploaded: im.sw.Stats().Up} },
		})
		m.wg.Go(func() { client.Run(ctx) })
		if m.server != nil {
			m.wg.Go(func() { m.seekOut(ctx, i) })
		}
	}
	return m, nil
}

func tracked(images []*image, port int) []tracker.Tracked {
	var list []tracker.Tracked
	for _, im := range images {
		list = append(list, tracker.Tracked{
			InfoHash: im.t.InfoHash,
			Name:     im.t.Name,
			Size:     im.t.Layout.Size,
			SeedPort: port,
			Torrent: func(announce string) ([]byte, error) {
				return im.t.WithReport(announce, strings.TrimSuffix(announce, "/announce")+report.Path)
			},
		})
	}
	return list
}

// status is what the page shows.
func (m *meetingPoint) status() []roster.Status {
	var list []roster.Status
	for i, im := range m.images {
		st := im.roster.Status(time.Now())
		st.File = m.server.File(i)
		list = append(list, st)
	}
	return list
}

// report takes what a receiver says of itself.
func (m *meetingPoint) report(from netip.Addr, p report.Report) (report.Answer, error) {
	for i, im := range m.images {
		if p.Hash() == im.t.InfoHash {
			if p.State == report.Done { // it goes by the answer
				im.roster.Hear(m.server.Receivers(i))
			}
			return im.roster.Report(time.Now(), from, p)
		}
	}
	return report.Answer{}, page.ErrUnknown
}

// How long receivers are given to find us before we go to them, and how often we look.
const (
	comeYourself = 2 * time.Second
	seekEvery    = time.Second
)

// seekOut has the swarm of the image number i connect to those who announced themselves to our
// tracker and do not come. Transmission 3.00 does not when its attempt by uTP fails.
func (m *meetingPoint) seekOut(ctx context.Context, i int) {
	tick := time.NewTicker(seekEvery)
	defer tick.Stop()
	told := map[[20]byte]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			still := map[[20]byte]bool{}
			for _, r := range m.server.Receivers(i) {
				if r.Live && r.Left > 0 && !told[r.ID] && now.Sub(r.FirstSeen) > comeYourself {
					told[r.ID] = true
					m.images[i].sw.AddPeers([]netip.AddrPort{r.Addr})
				}
				still[r.ID] = told[r.ID]
			}
			told = still
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
func (m *meetingPoint) invitation(images []*image) []string {
	var lines []string
	for i, im := range images {
		line := fmt.Sprintf("serving %s, infohash %s", im.t.Name, im.t.InfoHash)
		if m.ln == nil {
			lines = append(lines, line)
			continue
		}
		lines = append(lines, line+"; on the receivers:")
		file := "/a.torrent"
		if len(images) > 1 {
			file = m.server.File(i)
		}
		for _, at := range m.addresses() {
			lines = append(lines, fmt.Sprintf("  ezio-recv -t http://%s%s -d TARGET", at, file))
		}
	}
	if m.ln != nil {
		lines = append(lines, fmt.Sprintf("who is there and how they are doing: http://%s/", m.addresses()[0]))
	}
	return lines
}

// addresses is where the tracker can be reached.
func (m *meetingPoint) addresses() []netip.AddrPort {
	host := m.ln.Addr().(*net.TCPAddr).IP
	addrs := ownAddresses()
	if own, err := m.iface.Addrs(); err == nil && len(own) > 0 {
		addrs = own
	} else if ip, ok := netip.AddrFromSlice(host); ok && !ip.IsUnspecified() {
		addrs = []netip.Addr{ip.Unmap()}
	} else if len(addrs) > 1 {
		addrs = slices.DeleteFunc(addrs, netip.Addr.IsLoopback)
	}
	var list []netip.AddrPort
	for _, ip := range addrs {
		list = append(list, netip.AddrPortFrom(ip, uint16(m.port())))
	}
	if len(list) == 0 {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(m.port())))
	}
	return list
}
