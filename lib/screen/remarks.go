// SPDX-License-Identifier: GPL-2.0-or-later

package screen

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxRemarks is how many lines are kept while a screen is up; the oldest give way.
const maxRemarks = 1000

// Remarks stands between a program and its standard error: while a screen is up it keeps the lines,
// which the screen shows, and afterwards it passes them on. Every line arrives there, but for the
// oldest of too many.
type Remarks struct {
	out io.Writer

	mu    sync.Mutex
	held  bool
	lines []string
	part  []byte // of a line that has not ended yet
}

// NewRemarks passes on to out.
func NewRemarks(out io.Writer) *Remarks { return &Remarks{out: out} }

// Write takes text, of whole lines or not.
func (r *Remarks) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		return r.out.Write(p)
	}
	r.part = append(r.part, p...)
	for {
		line, rest, whole := bytes.Cut(r.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		r.lines = append(r.lines, string(line))
		r.part = bytes.Clone(rest)
		if len(r.lines) > maxRemarks {
			r.lines = slices.Delete(r.lines, 0, len(r.lines)-maxRemarks)
		}
	}
}

// Hold keeps lines from now on, until Release passes them all on.
func (r *Remarks) Hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = true
}

// Release ends Hold.
func (r *Remarks) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		io.WriteString(r.out, l+"\n")
	}
	r.out.Write(r.part)
	r.held, r.lines, r.part = false, nil, nil
}

// last is the newest n lines.
func (r *Remarks) last(n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.lines[max(0, len(r.lines)-n):])
	for i, l := range list {
		list[i] = strings.ReplaceAll(l, "\t", " ")
	}
	return list
}
