// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/netif"
	"ezio/lib/report"
	"ezio/lib/store"
	"ezio/lib/swarm"
	"ezio/lib/tracker"
)

// A voice tells the seed what an announce cannot: docs/seed-http.md. A seed that does not listen is
// no obstacle.
type voice struct {
	client  *report.Client
	id      [20]byte // by which the seed knows this job, in announces and reports
	key     uint32   // likewise, and nobody else knows it
	torrent string   // where the torrent says that reports go, if that is believed
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	said     report.Report
	trackers func() []tracker.TrackerStatus // nil before the first announce
	counters func() swarm.Stats             // likewise
	store    *store.Store
}

// newVoice begins to speak for a job.
func newVoice(c *cli.Call, t *metainfo.Torrent, from sources, o order, iface *netif.Interface) *voice {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context.Context)) // what ended the job is still told
	v := &voice{id: swarm.NewPeerID(), key: 1 + rand.Uint32N(1<<32-1), cancel: cancel, torrent: believed(t.Report, o.torrent, from.trackers)}
	v.said = report.Report{
		InfoHash: t.InfoHash.String(), PeerID: hex.EncodeToString(v.id[:]), Key: fmt.Sprintf("%08x", v.key),
		State: report.Joining, Name: nameOf(c), Device: o.target,
	}
	v.client = report.NewClient(report.Config{Report: v.now, URLs: v.urls, DialContext: iface.DialContext})
	v.wg.Go(func() { v.client.Run(ctx) })
	return v
}

// nameOf is what this machine is called.
func nameOf(c *cli.Call) string {
	if name := c.String("name"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil || name == "localhost" || name == "(none)" {
		return ""
	}
	return name
}

// believed is where a torrent says that reports go, if that is the very place that it comes from or
// one of its trackers: a torrent may come from anywhere, and must not make machines knock elsewhere.
func believed(where, source string, trackers []string) string {
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "http" || u.Path != report.Path {
		return ""
	}
	for _, other := range append([]string{source}, trackers...) {
		if o, err := url.Parse(other); err == nil && strings.EqualFold(o.Host, u.Host) && o.Host != "" {
			return where
		}
	}
	return ""
}

func (v *voice) urls() []string {
	v.mu.Lock()
	trackers := v.trackers
	v.mu.Unlock()
	var list []string
	if v.torrent != "" {
		list = append(list, v.torrent)
	}
	if trackers != nil {
		for _, s := range trackers() {
			if s.ReportURL != "" {
				list = append(list, s.ReportURL)
			}
		}
	}
	return list
}

// now is the report of this moment.
func (v *voice) now() report.Report {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.said
	if v.counters != nil {
		st := v.counters()
		p.DownBytes, p.UpBytes = st.Down, st.Up
	}
	if v.store != nil {
		p.DoneBytes = v.store.PresentBytes()
	}
	return p
}

// say is what the job does from now on.
func (v *voice) say(s report.State) {
	v.mu.Lock()
	v.said.State = s
	v.mu.Unlock()
	v.client.Now()
}

// onTarget is told of the target as soon as it is open.
func (v *voice) onTarget(size int64, st *store.Store) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said.DeviceSize, v.store = size, st
}

// inSwarm is told where the figures are.
func (v *voice) inSwarm(sw *swarm.Swarm, client *tracker.Client) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.counters, v.trackers = sw.Stats, client.Status
}

// lastWord is how long a job's end may wait for its last report.
const lastWord = 2 * time.Second

// end tells what became of the job.
func (v *voice) end(err error) {
	v.cancel()
	v.wg.Wait()
	v.mu.Lock()
	switch code := cli.Code(err); {
	case err == nil:
		v.said.State = report.Done
	case v.said.State == report.Done: // it stays true, whatever came later
	case code == cli.Interrupted, errors.Is(err, context.Canceled):
		v.said.State = report.Stopped
	case code == cli.Refused:
		v.said.State, v.said.Error = report.Refused, strings.TrimPrefix(err.Error(), "refuse "+v.said.Device+": ")
	default:
		v.said.State, v.said.Error = report.Failed, err.Error()
	}
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	v.client.Last(ctx)
}
