// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/netif"
	"ezio/lib/store"
	"ezio/lib/swarm"
	"ezio/lib/tracker"
)

// sources is where peers can be heard of.
type sources struct {
	trackers []string
	peers    []string // host:port
	t        *metainfo.Torrent
}

func findSources(c *cli.Call, t *metainfo.Torrent) (sources, error) {
	from := sources{t: t, trackers: c.StringSlice("tracker"), peers: c.StringSlice("peer")}
	for _, tier := range t.Trackers {
		from.trackers = append(from.trackers, tier...)
	}
	for _, p := range from.peers {
		host, port, err := net.SplitHostPort(p)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			return from, cli.Usagef("--peer %q is not HOST:PORT", p)
		}
	}
	if len(from.trackers) == 0 && len(from.peers) == 0 {
		return from, cli.Usagef("nobody to receive from: the torrent names no tracker").
			WithHint("take it from the seed's tracker (-t http://SEED:6969/a.torrent), or name --peer or --tracker")
	}
	return from, nil
}

// An announcing looks for peers until stop.
type announcing struct {
	client *tracker.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// announce begins to tell the trackers of sw and to tell sw of peers.
func (from sources) announce(ctx context.Context, sw *swarm.Swarm, st *store.Store, key uint32, iface *netif.Interface, log *slog.Logger) *announcing {
	ctx, cancel := context.WithCancel(ctx)
	a := &announcing{cancel: cancel}
	a.client = tracker.NewClient(tracker.ClientConfig{
		Trackers: from.trackers,
		InfoHash: from.t.InfoHash,
		PeerID:   sw.PeerID(),
		Key:      key,
		Port:     uint16(sw.Port()),
		Peers:    sw.AddPeers,
		Log:      log,

		DialContext: iface.DialContext,
		Stats: func() tracker.Stats {
			s := sw.Stats()
			return tracker.Stats{Uploaded: s.Up, Downloaded: s.Down, Left: from.t.Layout.Size - st.PresentBytes()}
		},
	})
	a.wg.Go(func() { a.client.Run(ctx) })
	if len(from.peers) > 0 {
		a.wg.Go(func() { redial(ctx, sw, st, from.peers) })
	}
	return a
}

// redialEvery is how often the peers of the command line are tried again: they may not be up yet.
const redialEvery = 2 * time.Second

func redial(ctx context.Context, sw *swarm.Swarm, st *store.Store, peers []string) {
	for tick := time.NewTicker(redialEvery); !st.Complete(); {
		for _, p := range peers {
			sw.AddPeers(resolve(ctx, p))
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// resolve is the addresses of host:port; none while the name cannot be looked up.
func resolve(ctx context.Context, peer string) []netip.AddrPort {
	host, port, _ := net.SplitHostPort(peer)
	n, _ := strconv.ParseUint(port, 10, 16)
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(n)))
	}
	return addrs
}

// completed tells the trackers that this receiver has everything.
func (a *announcing) completed() { a.client.Completed() }

// stop takes leave of the trackers.
func (a *announcing) stop() {
	a.cancel()
	a.wg.Wait()
}

// trouble is what stands between us and our peers, for people: "" when nothing is known to.
func (a *announcing) trouble() string {
	var lonely string
	for _, s := range a.client.Status() {
		switch {
		case s.LastError != "":
			return ": tracker " + s.URL + " says " + s.LastError
		case !s.LastOK.IsZero() && s.Peers == 0:
			lonely = ": tracker " + s.URL + " knows of nobody else"
		}
	}
	return lonely
}
