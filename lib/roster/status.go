// SPDX-License-Identifier: GPL-2.0-or-later

package roster

import (
	"fmt"
	"math"
	"time"
)

// A Receiver is one machine's row, as it is shown.
type Receiver struct {
	ID         string    `json:"peer_id"`          // 40 hexadecimal digits
	Name       string    `json:"name,omitempty"`   // by its own account
	Addr       string    `json:"address"`          // IP address
	Port       int       `json:"port,omitempty"`   // for peers
	Device     string    `json:"device,omitempty"` // by its own account
	DeviceSize int64     `json:"device_size,omitempty"`
	State      State     `json:"state"`
	Reason     string    `json:"reason,omitempty"` // of slow, lost, refused and failed
	DoneBytes  int64     `json:"done_bytes"`
	TotalBytes int64     `json:"total_bytes"`
	Rate       int64     `json:"rate"`        // bytes a second that it receives
	ETA        *int64    `json:"eta_seconds"` // null: unknown
	Up         int64     `json:"up_bytes"`    // that it sent to others, by its own account
	Down       int64     `json:"down_bytes"`  // that it received, by its own account
	Joined     time.Time `json:"joined"`      // first heard of
	Seconds    float64   `json:"seconds"`     // from then until it finished or was last heard of
	Reports    bool      `json:"reports"`     // it tells more than an announce can carry
	Attempts   int       `json:"attempts"`    // how many times it came
	Connected  bool      `json:"connected"`   // to the seed, at this moment
	Finished   time.Time `json:"finished,omitzero"`
}

// Title is what the row is called: its name, or else its address.
func (r Receiver) Title() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Port != 0:
		return fmt.Sprintf("%s:%d", r.Addr, r.Port)
	}
	return r.Addr
}

// A Status is how a deployment stands.
type Status struct {
	Name        string `json:"name"`
	InfoHash    string `json:"infohash"`
	File        string `json:"torrent"` // the path of the .torrent on this server
	Size        int64  `json:"size"`    // bytes
	Pieces      int    `json:"pieces"`
	PieceLength int64  `json:"piece_length"`
	DeviceSize  int64  `json:"device_size,omitempty"`
	Filesystem  string `json:"filesystem,omitempty"`
	Source      string `json:"source,omitempty"`

	Counts    Counts  `json:"counts"`
	DoneBytes int64   `json:"done_bytes"`  // of all receivers that are under way or done
	Total     int64   `json:"total_bytes"` // likewise
	Rate      int64   `json:"rate"`        // bytes a second that all receivers together receive
	ETA       *int64  `json:"eta_seconds"` // until the last one is done; null: unknown
	SeedRate  int64   `json:"seed_rate"`   // bytes a second that the seed sends
	SeedSent  int64   `json:"seed_sent_bytes"`
	Seconds   float64 `json:"seconds"` // since the seed began

	// Availability is, for each stretch of the image, in how many copies its rarest piece is among the
	// receivers that the seed is connected to.
	Availability []int      `json:"availability"`
	Peers        int        `json:"connected"`
	Receivers    []Receiver `json:"receivers"`
	History      []Moment   `json:"history"`
}

// Counts are receivers by what became of them; seeds are not among them.
type Counts struct {
	All        int           `json:"all"`
	Done       int           `json:"done"`
	Underway   int           `json:"under_way"`
	Unfinished int           `json:"unfinished"` // failed, refused or lost
	By         map[State]int `json:"by_state"`
}

// stretches is how many parts of the image Availability tells apart at most.
const stretches = 200

// Status is the deployment as of the last Update.
func (r *Roster) Status(now time.Time) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	im := r.cfg.Image
	s := Status{
		Name: im.Name, InfoHash: fmt.Sprintf("%x", im.InfoHash), Size: im.Size, Pieces: im.Pieces, PieceLength: im.PieceLength,
		DeviceSize: im.DeviceSize, Filesystem: im.Filesystem, Source: im.Source,
		Counts:       Counts{By: map[State]int{}},
		Rate:         int64(r.rate()),
		SeedRate:     int64(r.sent.rate()),
		SeedSent:     r.seen.Sent,
		Availability: thin(r.seen.Availability, stretches),
		Peers:        len(r.seen.Connected),
		Receivers:    make([]Receiver, 0, len(r.rows)),
		History:      append([]Moment{}, r.history.points...),
	}
	if !r.began.IsZero() {
		s.Seconds = now.Sub(r.began).Seconds()
	}
	last, known := int64(0), true
	for _, w := range r.rows {
		if !w.counts() {
			continue
		}
		v := w.view(now, im.Size)
		s.Receivers = append(s.Receivers, v)
		s.Counts.add(v.State)
		if v.State.Underway() || v.State == Done {
			s.DoneBytes, s.Total = s.DoneBytes+v.DoneBytes, s.Total+v.TotalBytes
		}
		if v.State.Underway() {
			if v.ETA == nil {
				known = false
			} else {
				last = max(last, *v.ETA)
			}
		}
	}
	if known && s.Counts.Underway > 0 {
		s.ETA = &last
	}
	return s
}

func (c *Counts) add(s State) {
	c.By[s]++
	if s == Seeding {
		return
	}
	c.All++
	switch {
	case s == Done:
		c.Done++
	case s.Underway():
		c.Underway++
	default:
		c.Unfinished++
	}
}

// counts says whether a row is worth showing: one that only connected, and was given nothing, may be
// anybody.
func (w *row) counts() bool {
	return w.reports() || w.announced != nil || w.done > 0 || w.sent > 0 || w.connected
}

func (w *row) view(now time.Time, size int64) Receiver {
	v := Receiver{
		ID: fmt.Sprintf("%x", w.id), Name: w.said.Name, Addr: w.addr.Addr().String(), Port: int(w.addr.Port()),
		Device: w.said.Device, DeviceSize: w.said.DeviceSize,
		State: w.state, Reason: w.reason, DoneBytes: w.done, TotalBytes: size,
		Up: w.said.UpBytes, Down: w.said.DownBytes, Joined: w.joined, Finished: w.finished,
		Reports: w.reports(), Attempts: w.attempts, Connected: w.connected,
	}
	if a := w.announced; a != nil && !w.reports() {
		v.Up, v.Down = a.Uploaded, a.Downloaded
	}
	end := now
	switch {
	case w.state == Done:
		end, v.DoneBytes = w.finished, size
	case w.state == Seeding:
		v.DoneBytes = size
	case w.state.Unfinished():
		end = w.heard
	}
	v.Seconds = max(0, end.Sub(w.joined).Seconds())
	if w.state == Receiving || w.state == Slow {
		rate := w.meter.rate()
		v.Rate = int64(rate)
		if rate > 1 {
			eta := int64(math.Ceil(float64(size-v.DoneBytes) / rate))
			v.ETA = &eta
		}
	}
	return v
}

// thin takes the least of each stretch of a list, n of them at most.
func thin(list []int, n int) []int {
	n = min(n, len(list))
	out := make([]int, n)
	for i := range out {
		part := list[i*len(list)/n : (i+1)*len(list)/n]
		out[i] = part[0]
		for _, v := range part {
			out[i] = min(out[i], v)
		}
	}
	return out
}
