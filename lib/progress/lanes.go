// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"slices"
	"strings"
)

// Split makes a Reporter for each of several jobs that run side by side, by what tells them apart,
// such as the device that each writes to. Each has phases of its own. Their events and their last
// one, the whole run's exit, appear on the same streams: events carry the name as the field key,
// lines for people begin with it, and a bar shows the jobs as one. With a single job nothing but
// the field is added.
//
// r itself must have no phase under way, and begin none.
func (r *Reporter) Split(key string, names []string) []*Reporter {
	lanes := make([]*Reporter, len(names))
	if r == nil {
		return lanes
	}
	var all *joint
	if b, ok := r.show.(*bar); ok && len(names) > 1 {
		all = &joint{bar: b, lanes: make([]*figures, len(names))}
	}
	for i, name := range names {
		l := &Reporter{tool: r.tool, quiet: r.quiet, show: r.show, interval: r.interval, mu: r.mu}
		if len(names) > 1 {
			l.name = printable(name)
			l.tool = prefix(r.tool, l.name)
		}
		switch show := r.show.(type) {
		case *events:
			l.events = &events{out: show.out, stderr: show.stderr, name: []field{{key, name}}}
			l.show = l.events
		case *plain:
			l.show = &plain{tool: l.tool, stderr: show.stderr}
		case *bar:
			if all != nil {
				l.show = &lane{all: all, i: i, tool: l.tool}
			}
		}
		lanes[i] = l
	}
	return lanes
}

// unnamed is a line without the job's name at its beginning, which is put there anyway.
func (r *Reporter) unnamed(line string) string {
	if r.name == "" {
		return line
	}
	return strings.TrimPrefix(line, r.name+": ")
}

// joint is one bar for several jobs. The Reporters' common lock is held over each call.
type joint struct {
	bar   *bar
	lanes []*figures // the last of each job; nil before its first phase
}

// A lane is one job's part of a joint bar.
type lane struct {
	all  *joint
	i    int
	tool string
}

func (l *lane) update(f figures) {
	l.all.lanes[l.i] = &f
	l.all.bar.update(l.all.sum())
}

// finish leaves a line above the bar, which goes on, as long as any job does, with the phase's last
// figures in it.
func (l *lane) finish(f figures) {
	line := prefix(l.tool, sentence(f, true))
	f.now, f.Peers, f.Waiting, f.over = rates{}, 0, "", true
	l.all.lanes[l.i] = &f
	if l.all.over() {
		l.all.bar.end(line)
		return
	}
	l.all.bar.note(line)
	l.all.bar.update(l.all.sum())
}

func (l *lane) note(text string) { l.all.bar.note(text) }

// sum is the jobs as one. It has as much time left as the slowest of them.
func (j *joint) sum() figures {
	var s figures
	var names []string
	for _, f := range j.lanes {
		if f == nil {
			continue
		}
		s.Done, s.Total = s.Done+f.Done, s.Total+f.Total
		s.now = rates{s.now.done + f.now.done, s.now.down + f.now.down, s.now.up + f.now.up}
		s.Peers = max(s.Peers, f.Peers)
		s.downSeen, s.upSeen, s.peersSeen = s.downSeen || f.downSeen, s.upSeen || f.upSeen, s.peersSeen || f.peersSeen
		if f.over {
			continue
		}
		if s.Waiting == "" {
			s.Waiting = f.Waiting
		}
		switch {
		case f.eta < 0 || s.eta < 0:
			s.eta = -1
		default:
			s.eta = max(s.eta, f.eta)
		}
		if !slices.Contains(names, f.phase) {
			names = append(names, f.phase)
		}
	}
	if s.now.down > 0 {
		s.Waiting = "" // some job does not
	}
	s.phase = strings.Join(names, ", ")
	return s
}

// over says that no job has a phase under way.
func (j *joint) over() bool {
	return !slices.ContainsFunc(j.lanes, func(f *figures) bool { return f != nil && !f.over })
}

// Fail says that a job failed, and the hint, unless that is empty, of what can be done, to people
// also when Quiet is set: the others go on, and the program's end is too late for it. The event
// error is sent as by Error.
func (r *Reporter) Fail(err error, hint string) {
	if r == nil {
		return
	}
	r.Error(err, hint)
	line := prefix(r.tool, r.unnamed(oneLine(err.Error())))
	if hint != "" {
		line += "\nhint: " + oneLine(hint)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.show.(*lane); ok {
		l.all.lanes[l.i] = nil // what it lacks is not being brought any more
	}
	r.show.note(line)
}
