// SPDX-License-Identifier: GPL-2.0-or-later

// Package progress tells people and programs how far a job has come: counters in, and out a bar
// on a terminal, plain lines in a log, or JSON events on stdout.
//
// A run is a sequence of phases ("checking", "receiving", "uploading"). Each has a function that
// reads the job's counters; the Reporter samples it, measures rates over a sliding window and
// shows the result. The job itself only counts.
//
// Invariants: bars and plain lines go to stderr, events to stdout, nothing else does. Every line,
// event and redraw is one Write. The job's counters are read with none of the Reporter's locks
// for output held, so the job may call Banned and Printf with its own locks held. A nil *Reporter
// is valid and does nothing.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A Mode is the way progress is shown.
type Mode string

const (
	Auto  Mode = "auto"  // Bar when stderr is a terminal, otherwise Plain
	Bar   Mode = "bar"   // a line on stderr that is redrawn in place
	Plain Mode = "plain" // lines on stderr, one each 10 s within a phase, and its last one
	JSON  Mode = "json"  // one object per line on stdout
	None  Mode = "none"  // no progress at all
)

// ParseMode reads the value of --progress.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Bar, Plain, JSON, None:
		return m, nil
	}
	return "", fmt.Errorf("unknown progress mode %q: want auto, bar, plain, json or none", s)
}

// Config says where a Reporter writes and how.
type Config struct {
	Mode   Mode      // "" means Auto
	Quiet  bool      // nothing for people on stderr; events are kept, for they were asked for
	Tool   string    // begins every line for people, such as "ezio-recv"
	Stdout io.Writer // for events; nil drops them
	Stderr io.Writer // for people; nil drops their lines
}

const (
	barInterval  = 250 * time.Millisecond
	lineInterval = time.Second // between events, and between looks whether a plain line is due
)

// A display shows figures. The Reporter calls it from one goroutine at a time.
type display interface {
	update(figures) // again and again within a phase, from its first moment
	finish(figures) // once, at a phase's end
	note(string)    // a whole line for people, without its newline
}

// A Reporter shows the progress of one run. Its methods may be called from any goroutine, but see
// Start for what a phase's end waits for.
type Reporter struct {
	tool     string
	name     string // of one job among several, which tool ends with
	quiet    bool
	show     display
	events   *events // nil unless the mode is JSON
	interval time.Duration

	turn   sync.Mutex // held over each change of phase; taken before mu
	phase  *phase     // guarded by turn
	exited bool       // guarded by turn

	mu *sync.Mutex // held over each output; shared by what Split makes
}

// New makes a Reporter. It writes nothing and starts nothing.
func New(c Config) *Reporter {
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
	r := &Reporter{tool: c.Tool, quiet: c.Quiet, interval: lineInterval, mu: new(sync.Mutex)}
	switch mode := c.resolve(); mode {
	case Bar:
		r.show, r.interval = newBar(c.Stderr), barInterval
	case JSON:
		r.events = &events{out: &output{w: c.Stdout}, stderr: c.Stderr}
		r.show = r.events
	case Plain:
		r.show = &plain{tool: c.Tool, stderr: c.Stderr}
	default:
		r.show = silent{c.Stderr}
	}
	return r
}

// resolve turns what was asked for into what stderr can do.
func (c Config) resolve() Mode {
	switch {
	case c.Mode == JSON:
		return JSON
	case c.Quiet:
		return None
	case c.Mode != Auto && c.Mode != "":
		return c.Mode
	}
	f, ok := c.Stderr.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		return Bar
	}
	return Plain
}

// Start begins a phase and ends the one before it. From now on, until the phase's end, sample is
// called from time to time, and a last time by whatever ends it: Stop, Done, Error, Exit or the
// next Start. These wait for a sample under way, so they must not be called from sample nor with
// a lock held that sample takes. A nil sample is a phase without figures.
//
// The event start carries phase, total_bytes and more.
func (r *Reporter) Start(name string, sample func() Sample, more Fields) {
	if !r.shows() {
		return
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.exited {
		return
	}
	r.endPhase()
	if sample == nil {
		sample = func() Sample { return Sample{} }
	}
	first := sample()
	p := newPhase(name, sample, first, time.Now())
	r.phase = p
	r.mu.Lock()
	f := p.measure(first, p.begun)
	r.events.start(f, more)
	r.show.update(f)
	r.mu.Unlock()
	go r.watch(p)
}

// watch samples a phase until it is told to stop.
func (r *Reporter) watch(p *phase) {
	defer close(p.stopped)
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			s := p.sample()
			r.mu.Lock()
			r.show.update(p.measure(s, time.Now()))
			r.mu.Unlock()
		}
	}
}

// endPhase shows the last figures of the phase under way, if any. The caller holds turn.
func (r *Reporter) endPhase() {
	p := r.phase
	if p == nil {
		return
	}
	r.phase = nil
	close(p.stop)
	<-p.stopped
	s := p.sample()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.show.finish(p.measure(s, time.Now()))
}

// end ends the phase under way and then sends an event, unless Exit was called before.
func (r *Reporter) end(event string, own []field, more Fields) {
	if !r.shows() {
		return
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if r.exited {
		return
	}
	r.exited = event == "exit"
	r.endPhase()
	r.send(event, own, more)
}

// Stop ends the phase under way: its last figures stay on the terminal or in the log, and the
// cursor stands in column 0. Without a phase it does nothing.
func (r *Reporter) Stop() { r.end("", nil, nil) }

// Done ends the phase under way and says that the job itself is done: for a receiver, that every
// piece is verified, written and synced. Phases may follow, such as uploading to others.
func (r *Reporter) Done(more Fields) { r.end("done", nil, more) }

// Error ends the phase under way and sends the event error, with message and, unless it is
// empty, hint. The line for people is not its job: whoever ends the program prints that.
func (r *Reporter) Error(err error, hint string) {
	if err == nil {
		return
	}
	own := []field{{"message", err.Error()}}
	if hint != "" {
		own = append(own, field{"hint", hint})
	}
	r.end("error", own, nil)
}

// Exit ends the phase under way and sends the event exit with code. It is the last event;
// everything later is ignored.
func (r *Reporter) Exit(code int) { r.end("exit", []field{{"code", code}}, nil) }

// Banned says that a peer (host:port) was cut off and why: the event peer_banned, or a line for
// people. Like Printf it waits for a reader of the stream that has stopped reading.
func (r *Reporter) Banned(peer, reason string) {
	switch {
	case !r.shows():
	case r.events == nil:
		r.Printf("banned %s: %s", peer, reason)
	default:
		r.send("peer_banned", []field{{"peer", peer}, {"reason", reason}}, nil)
	}
}

// Tell says something that is no progress: to programs as an event with fields, to people as a line
// (unless it is empty).
func (r *Reporter) Tell(event string, more Fields, line string) {
	switch {
	case r == nil:
	case r.events != nil:
		r.send(event, nil, more)
	case line != "":
		r.Printf("%s", line)
	}
}

// send writes an event, if there is anyone to read events.
func (r *Reporter) send(event string, own []field, more Fields) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event != "" {
		r.events.send(event, own, more)
	}
}

// Printf writes one line for people to stderr, with the tool's name before it, and leaves a bar
// whole. Being no progress it is silenced by Quiet only.
func (r *Reporter) Printf(format string, args ...any) {
	if r == nil || r.quiet {
		return
	}
	line := printable(strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.show.note(prefix(r.tool, r.unnamed(line)))
}

// Err is the first error met in writing events, after which no more are written. What is meant
// for people may fail unseen, as there is no one left to tell.
func (r *Reporter) Err() error {
	if r == nil || r.events == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events.out.err
}

// shows tells whether phases and events lead anywhere.
func (r *Reporter) shows() bool {
	if r == nil {
		return false
	}
	_, none := r.show.(silent)
	return !none
}

// silent is the display of None: it has lines for people only.
type silent struct{ stderr io.Writer }

func (silent) update(figures)     {}
func (silent) finish(figures)     {}
func (s silent) note(line string) { io.WriteString(s.stderr, line+"\n") }
