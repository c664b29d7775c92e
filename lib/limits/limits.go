// SPDX-License-Identifier: GPL-2.0-or-later

// Package limits says what this process may use: of memory, as the machine and its control groups
// have it, and of open files. EZIO runs in initramfs on whatever the lab has; who knows the limit
// can keep to it, and whoever ignores it is killed without a word.
//
// Invariant: what cannot be found out is no limit; nothing here fails.
package limits

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Memory is how many bytes this process can use at most: the smallest limit among the machine's
// memory and the control groups it was in when first asked.
var Memory = sync.OnceValue(func() int64 {
	n := physical()
	if list, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		n = min(n, grouped("/sys/fs/cgroup", list))
	}
	return n
})

// Files is how many descriptors this process can have open.
func Files() int64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil || r.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int64(r.Cur)
}

func physical() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return math.MaxInt64
	}
	return int64(uint64(si.Totalram) * uint64(si.Unit))
}

// grouped is the smallest memory limit of the groups in list, which has the form of
// /proc/self/cgroup (cgroups(7)), mounted below root: that of version 2 and, where it is used, the
// memory controller's of version 1. A group is limited by those above it too.
func grouped(root string, list []byte) int64 {
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(list)) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(field) != 3 {
			continue
		}
		top, file := root, "memory.max"
		switch {
		case field[0] == "0" && field[1] == "":
		case strings.Contains(","+field[1]+",", ",memory,"):
			top, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may name what only the host sees; the root is then ours.
		for dir := filepath.Clean("/" + field[2]); ; dir = filepath.Dir(dir) {
			if n, ok := number(filepath.Join(top, dir, file)); ok {
				least = min(least, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// number reads a file that holds a limit; "max" and nonsense are none.
func number(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil && n > 0
}
