// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// describeMachine says what the figures were measured on, in a line.
func describeMachine() string {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	return fmt.Sprintf("%d x %s, %d GiB, Linux %s", runtime.NumCPU(), cpuModel(), (procField("/proc/meminfo", "MemTotal")+gib/2)/gib,
		unix.ByteSliceToString(uts.Release[:]))
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memAvailable() int64 { return procField("/proc/meminfo", "MemAvailable") }

// procField reads a "name: N kB" of a file in /proc, in bytes; 0 when there is none.
func procField(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if key, rest, _ := strings.Cut(line, ":"); key == name {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// cpuTicks is how long the whole machine has been busy and how long there was in all.
type cpuTicks struct{ busy, total int64 }

func readCPU() cpuTicks {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTicks{}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return parseCPU(line)
}

// parseCPU reads the first line of /proc/stat: user nice system idle iowait irq softirq steal.
func parseCPU(line string) cpuTicks {
	var t cpuTicks
	for i, s := range strings.Fields(line) {
		n, err := strconv.ParseInt(s, 10, 64)
		if i == 0 || i > 8 || err != nil {
			continue
		}
		t.total += n
		if i != 4 && i != 5 {
			t.busy += n
		}
	}
	return t
}

// busySince is the share of the machine's CPU time that was used since then, from 0 to 1.
func (then cpuTicks) busySince(now cpuTicks) float64 {
	if now.total == then.total {
		return 0
	}
	return float64(now.busy-then.busy) / float64(now.total-then.total)
}
