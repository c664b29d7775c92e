// SPDX-License-Identifier: GPL-2.0-or-later

// Package report is what a receiver tells its seed beyond an announce: its name, its device, what it
// is doing, and why it failed. docs/seed-http.md describes the exchange; this package holds its two
// messages, the limits on them, and the receiver's end.
//
// Invariants: a report is believed only as far as its sender is concerned; every text in it has been
// through Parse before anybody sees it: bounded, valid UTF-8, printable. A receiver's job never waits
// for, and never fails with, its reports.
package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Path is where a seed takes reports, on the port of its tracker.
const Path = "/report"

// MaxSize is the longest report in bytes.
const MaxSize = 4 << 10

// A State is what a receiver says it is doing.
type State string

const (
	Joining   State = "joining"   // it knows the torrent and begins
	Verifying State = "verifying" // it reads its device: before receiving, or after
	Receiving State = "receiving"
	Done      State = "done"    // every piece is verified, written and synced
	Refused   State = "refused" // it will not write to its device: Error says why
	Failed    State = "failed"  // it gave up: Error says why
	Stopped   State = "stopped" // it was interrupted before it was done
)

// Ended says whether nothing more is to come of a receiver in that state.
func (s State) Ended() bool { return s == Refused || s == Failed || s == Stopped }

// A Report is one receiver's account of itself.
type Report struct {
	InfoHash string `json:"infohash"` // 40 hexadecimal digits
	PeerID   string `json:"peer_id"`  // as it announces itself, 40 hexadecimal digits
	Key      string `json:"key"`      // of its announces (BEP 7): what others do not know
	State    State  `json:"state"`

	Name       string `json:"name,omitempty"`        // of the machine
	Device     string `json:"device,omitempty"`      // the target
	DeviceSize int64  `json:"device_size,omitempty"` // bytes
	Error      string `json:"error,omitempty"`

	DoneBytes int64 `json:"done_bytes"` // of the image that are right on the device
	DownBytes int64 `json:"down_bytes"` // received from peers
	UpBytes   int64 `json:"up_bytes"`   // sent to peers
}

// An Answer is what the seed says to a report.
type Answer struct {
	Interval   int `json:"interval_seconds"` // until the next report
	Unfinished int `json:"unfinished"`       // receivers that still miss something; 0: nobody needs uploads
}

// The longest texts, in characters.
const (
	maxName   = 64
	maxDevice = 128
	maxError  = 240
	maxKey    = 64
)

// Parse reads a report that anybody may have sent. Its error is fit to be told to the sender.
func Parse(r io.Reader) (Report, error) {
	var p Report
	b, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	switch {
	case err != nil:
		return p, errors.New("the report did not arrive whole")
	case len(b) > MaxSize:
		return p, fmt.Errorf("the report is longer than %d bytes", MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&p); err != nil {
		return p, errors.New("the report is not the JSON object it should be")
	}
	if _, err := d.Token(); err != io.EOF {
		return p, errors.New("something follows the report")
	}
	return p, p.check()
}

// check refuses what has no meaning and makes the texts harmless.
func (p *Report) check() error {
	for name, text := range map[string]string{"infohash": p.InfoHash, "peer_id": p.PeerID} {
		if b, err := hex.DecodeString(text); err != nil || len(b) != 20 {
			return fmt.Errorf("%s is not 40 hexadecimal digits", name)
		}
	}
	switch p.State {
	case Joining, Verifying, Receiving, Done, Refused, Failed, Stopped:
	default:
		return errors.New("unknown state")
	}
	if p.DeviceSize < 0 || p.DoneBytes < 0 || p.DownBytes < 0 || p.UpBytes < 0 {
		return errors.New("a negative number of bytes")
	}
	if p.Key == "" || len(p.Key) > maxKey {
		return errors.New("no key, or one that is too long")
	}
	p.Name, p.Device, p.Error = clean(p.Name, maxName), clean(p.Device, maxDevice), clean(p.Error, maxError)
	return nil
}

// clean is somebody's text made fit to be shown: one line, printable, at most so many characters.
// Format characters go too: some turn the direction of what follows.
func clean(s string, longest int) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsPrint(c):
			return c
		case unicode.IsSpace(c), unicode.IsControl(c):
			return ' '
		}
		return -1
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}

// ID is a report's peer id. The report has been through Parse.
func (p *Report) ID() (id [20]byte) { return bytes20(p.PeerID) }

// Hash is a report's infohash. The report has been through Parse.
func (p *Report) Hash() (h [20]byte) { return bytes20(p.InfoHash) }

func bytes20(text string) (b [20]byte) {
	raw, _ := hex.DecodeString(text)
	copy(b[:], raw)
	return b
}
