// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample follows the peak of resident memory. The kernel's own ru_maxrss would begin with ours,
// since a child starts as a copy of its parent.
func (p *Proc) sample() {
	defer close(p.sampling)
	for {
		select {
		case <-p.exited:
			return
		case <-time.After(200 * time.Millisecond):
			p.readMemory()
		}
	}
}

func (p *Proc) readMemory() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return
	}
	hwm, anon := memoryOf(string(status))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rss = max(p.rss, hwm)
	p.anon = max(p.anon, anon)
}

// memoryOf reads VmHWM and RssAnon, in bytes, from a process's status.
func memoryOf(status string) (hwm, anon int64) {
	for line := range strings.Lines(status) {
		key, rest, _ := strings.Cut(line, ":")
		var into *int64
		switch key {
		case "VmHWM":
			into = &hwm
		case "RssAnon":
			into = &anon
		default:
			continue
		}
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		*into = kib << 10
	}
	return hwm, anon
}

// MarkStart makes CPU time count from now: what a program needs to load and check its source is
// not the transfer's.
func (p *Proc) MarkStart() {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.baseCPU = cpuOf(string(stat))
	p.mu.Unlock()
}

// cpuOf reads user and system time, with those of ended children, from a process's stat. The
// kernel counts them there in hundredths of a second.
func cpuOf(stat string) time.Duration {
	_, rest, ok := strings.Cut(stat, ") ") // the name before it may hold spaces
	if !ok {
		return 0
	}
	f := strings.Fields(rest) // from field 3 of proc(5); utime is 14, cstime 17
	var ticks int64
	for i := 14 - 3; i <= 17-3 && i < len(f); i++ {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Usage is what a program has cost.
type Usage struct {
	CPU       time.Duration // user and system, since MarkStart
	RSS, Anon int64         // bytes at their peak
}

// Usage may be asked once the process has been stopped.
func (p *Proc) Usage() Usage {
	<-p.exited
	<-p.sampling
	state := p.cmd.ProcessState
	p.mu.Lock()
	defer p.mu.Unlock()
	return Usage{CPU: state.UserTime() + state.SystemTime() - p.baseCPU, RSS: p.rss, Anon: p.anon}
}
