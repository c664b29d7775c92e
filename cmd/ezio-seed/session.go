// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"time"

	"ezio/lib/cli"
	"ezio/lib/progress"
	"ezio/lib/roster"
	"ezio/lib/screen"
)

// A session is the time in which receivers are served.
type session struct {
	c      *cli.Call
	r      *progress.Reporter
	images []*image
	meet   *meetingPoint
	port   int
	known  map[string]roster.State // by infohash and peer id, what was told of each

	remarks *screen.Remarks // nil without --ui
}

// lookEvery is how often it is seen who is there and how they are doing.
const lookEvery = 500 * time.Millisecond

// run serves until interrupted or until an exit condition holds, and sums up.
func (s *session) run() error {
	s.r.Start("serving", s.sample, s.facts())
	ctx, quit := context.WithCancelCause(s.c.Context.Context)
	defer quit(nil)
	endScreen := s.show(ctx, func() { quit(cli.ErrInterrupted) })
	for _, line := range s.meet.invitation(s.images) {
		s.r.Printf("%s", line)
	}
	err := s.until(ctx, s.c.Int("exit-after"), s.c.Duration("exit-idle"))
	endScreen()
	s.r.Stop()
	s.look(time.Now())
	end := s.sumUp(time.Now())
	if err != nil {
		return err
	}
	return end
}

func (s *session) sample() progress.Sample {
	var p progress.Sample
	for _, im := range s.images {
		st := im.sw.Stats()
		p.Done, p.Up, p.Peers = p.Done+st.Up, p.Up+st.Up, p.Peers+st.Peers
	}
	return p
}

// facts are the fields of the event start: those of the first image, and a list of all.
func (s *session) facts() progress.Fields {
	var list []progress.Fields
	total := int64(0)
	for i, im := range s.images {
		f := progress.Fields{"name": im.t.Name, "infohash": im.t.InfoHash.String(), "total_bytes": im.t.Layout.Size, "source": im.path}
		if s.meet.server != nil {
			f["torrent"] = s.meet.server.File(i)
		}
		list, total = append(list, f), total+im.t.Layout.Size
	}
	return progress.Fields{
		"infohash": s.images[0].t.InfoHash.String(), "port": s.port, "tracker_port": s.meet.port(),
		"total_bytes": total, "torrents": list,
	}
}

// until returns nil when an exit condition holds and the cause when ctx is done.
func (s *session) until(ctx context.Context, after int, idle time.Duration) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last, since := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-s.meet.failed:
			return err
		case now := <-tick.C:
			finished, busy := s.look(now)
			if up := s.sample().Up; up != last || busy {
				last, since = up, now
			}
			if after > 0 && finished >= after || idle > 0 && now.Sub(since) >= idle {
				s.takeLeave(ctx)
				return nil
			}
		}
	}
}

// look updates the rosters, tells what has become of receivers, and returns how many have finished
// and whether one of our own kind is still at work, perhaps without asking for anything just now.
func (s *session) look(now time.Time) (finished int, busy bool) {
	known := map[string]roster.State{}
	for i, im := range s.images {
		im.roster.Update(now, s.seen(i))
		st := im.roster.Status(now)
		finished += st.Counts.Done
		for _, v := range st.Receivers {
			busy = busy || v.Reports && v.State.Underway() && v.State != roster.Slow
			key := st.InfoHash + v.ID
			known[key] = v.State
			if was, old := s.known[key]; was != v.State {
				s.r.Tell("receiver", progress.Fields{"torrent": st.InfoHash, "receiver": v}, news(v, !old))
			}
		}
	}
	s.known = known // whoever was forgotten is forgotten here too
	return finished, busy
}

// seen is what we see of an image's peers ourselves.
func (s *session) seen(i int) roster.Seen {
	im := s.images[i]
	v := im.sw.View()
	seen := roster.Seen{Sent: im.sw.Stats().Up, Availability: v.Availability}
	if s.meet.server != nil {
		seen.Announced = s.meet.server.Receivers(i)
	}
	for _, p := range v.Peers {
		have := min(int64(p.Pieces)*im.t.Layout.Length, im.t.Layout.Size)
		seen.Connected = append(seen.Connected, roster.Peer{ID: p.ID, Addr: p.Addr, Have: have, Sent: p.Sent})
	}
	return seen
}

// news is a line about a receiver's new state, "" when people need not be told.
func news(v roster.Receiver, first bool) string {
	title := v.Title()
	if v.Name != "" {
		title += " (" + v.Addr + ")"
	}
	switch {
	case v.State == roster.Done:
		return title + " is done after " + progress.Elapsed(time.Duration(v.Seconds*float64(time.Second)))
	case v.State.Unfinished(), v.State == roster.Slow:
		return title + " is " + string(v.State) + ": " + v.Reason
	case first && v.State.Underway():
		return title + " has joined"
	}
	return ""
}

// How long receivers that linger are given to hear that nobody needs them, so that they need not
// find out by themselves that the seed has gone.
const (
	leaveTime = 3 * time.Second
	leaveLook = 100 * time.Millisecond
)

func (s *session) takeLeave(ctx context.Context) {
	for end := time.Now().Add(leaveTime); time.Now().Before(end) && s.lingering() && ctx.Err() == nil; {
		time.Sleep(leaveLook)
	}
}

// lingering says whether a receiver of our own kind that is done is still there.
func (s *session) lingering() bool {
	if s.meet.server == nil {
		return false
	}
	for i, im := range s.images {
		reports := map[string]bool{}
		for _, v := range im.roster.Status(time.Now()).Receivers {
			reports[v.ID] = v.Reports && v.State == roster.Done
		}
		for _, a := range s.meet.server.Receivers(i) {
			if a.Live && reports[hexID(a.ID)] {
				return true
			}
		}
	}
	return false
}
