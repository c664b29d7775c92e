// SPDX-License-Identifier: GPL-2.0-or-later

// Package upstream finds the program at the other end of a pipe, and the torrent.info it wrote.
//
// Today's partclone, told `-T -o DIR`, writes DIR/torrent.info and nothing to standard output, so
// in `partclone … -o t/ | ezio-mktorrent` the pipe carries no data. But it still says who writes:
// the process whose standard output is our standard input (/proc/PID/fd/1), its arguments and its
// working directory. They are looked up while it runs; when the pipe has ended, it may be gone.
package upstream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How often /proc is looked through: closely at first, when a shell has forked but not yet
// executed the program, then seldom, since a capture may take hours.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = 500 * time.Millisecond
)

// A Process is a program seen writing to our pipe.
type Process struct {
	PID  int
	Args []string
	Dir  string // working directory
}

// A Watcher collects the processes at the other end of a pipe.
type Watcher struct {
	pipe    string // what /proc/PID/fd/1 reads for them
	started time.Time
	stop    chan struct{}
	wg      sync.WaitGroup

	mu   sync.Mutex
	seen map[int]Process
}

// Watch begins to look for the writers of stdin until Stop. It returns nil if stdin is no pipe. A
// nil Watcher has seen nothing.
func Watch(stdin *os.File) *Watcher {
	if stdin == nil {
		return nil
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", stdin.Fd()))
	if err != nil || !strings.HasPrefix(link, "pipe:[") {
		return nil
	}
	w := &Watcher{pipe: link, started: time.Now(), stop: make(chan struct{}), seen: map[int]Process{}}
	w.wg.Go(w.watch)
	return w
}

func (w *Watcher) watch() {
	wait := firstLook
	for {
		w.look()
		select {
		case <-w.stop:
			return
		case <-time.After(wait):
		}
		wait = min(wait*5/4, lastLook)
	}
}

// look notes every process whose standard output is the pipe. A process seen before is read again:
// it may have executed another program since.
func (w *Watcher) look() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	self := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if link, err := os.Readlink(filepath.Join(dir, "fd", "1")); err != nil || link != w.pipe {
			continue
		}
		if p, ok := read(pid, dir); ok {
			w.mu.Lock()
			w.seen[pid] = p
			w.mu.Unlock()
		}
	}
}

func read(pid int, dir string) (Process, bool) {
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil || len(line) == 0 {
		return Process{}, false
	}
	cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
	if err != nil {
		return Process{}, false
	}
	var args []string
	for _, a := range bytes.Split(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
		args = append(args, string(a))
	}
	return Process{PID: pid, Args: args, Dir: cwd}, true
}

// Stop ends the watch and returns the processes seen, in order of their ids.
func (w *Watcher) Stop() []Process {
	if w == nil {
		return nil
	}
	close(w.stop)
	w.wg.Wait()
	return w.list()
}

func (w *Watcher) list() []Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []Process
	for _, p := range w.seen {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list
}
