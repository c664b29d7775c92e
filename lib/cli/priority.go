// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// ioClasses are the scheduling classes of ionice(1), as they are typed and by the kernel's numbers.
var ioClasses = []string{"none", "realtime", "best-effort", "idle"}

const (
	ioClassShift   = 13
	ioWhoProcess   = 1
	leastIOLevel   = 7 // of classes realtime and best-effort; 0 is served first
	middleIOLevel  = 4
	keep           = "keep"
	niceTo, niceAt = 19, -20
)

// priorityFlags keep by default what the tool was started with: a deployment is what everybody waits
// for, and a seed that yields to other work holds up a whole room. A standing seed is another matter:
// its unit for systemd is nice.
func priorityFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nice", Value: keep, Usage: "`N` of nice(1) for the processor, from -20 to 19, or keep"},
		&cli.StringFlag{Name: "ionice", Value: keep, Usage: "`CLASS[:LEVEL]` of ionice(1) for the disk: none, realtime, best-effort, idle or keep"},
	}
}

// setPriority does what --nice and --ionice say, for the whole process.
func (c *Call) setPriority() error {
	nice, setNice, err := parseNice(c.String("nice"))
	if err != nil {
		return Usagef("--nice: %v", err)
	}
	io, setIO, err := parseIO(c.String("ionice"))
	if err != nil {
		return Usagef("--ionice: %v", err)
	}
	if setNice {
		err = eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, nice) })
		if err != nil {
			return Failf("set --nice %d: %w", nice, err)
		}
	}
	if setIO {
		err = eachThread(func(tid int) error { return setIOPriority(tid, io) })
		if err != nil {
			return Failf("set --ionice %s: %w", c.String("ionice"), err)
		}
	}
	return nil
}

func parseNice(s string) (n int, set bool, err error) {
	if s == "" || s == keep {
		return 0, false, nil
	}
	n, err = strconv.Atoi(s)
	if err != nil || n < niceAt || n > niceTo {
		return 0, false, fmt.Errorf("%q is neither a number from %d to %d nor keep", s, niceAt, niceTo)
	}
	return n, true, nil
}

// parseIO returns the kernel's word for a class and level.
func parseIO(s string) (prio int, set bool, err error) {
	if s == "" || s == keep {
		return 0, false, nil
	}
	name, level, hasLevel := strings.Cut(s, ":")
	for class, word := range ioClasses {
		if word != name {
			continue
		}
		n := 0
		if levels := class == 1 || class == 2; levels && !hasLevel {
			n = middleIOLevel
		} else if hasLevel {
			n, err = strconv.Atoi(level)
			if !levels || err != nil || n < 0 || n > leastIOLevel {
				return 0, false, fmt.Errorf("%q: a level is 0 to %d, and of realtime or best-effort", s, leastIOLevel)
			}
		}
		return class<<ioClassShift | n, true, nil
	}
	return 0, false, fmt.Errorf("%q is none of %s, keep", s, strings.Join(ioClasses, ", "))
}

func setIOPriority(tid, prio int) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoProcess, uintptr(tid), uintptr(prio)); errno != 0 {
		return errno
	}
	return nil
}

// eachThread does something to every thread, since Linux has priorities by thread. New ones inherit
// that of the one that starts them, so it goes on until it meets no thread it has not met.
func eachThread(do func(tid int) error) error {
	met := map[string]bool{}
	for again := true; again; {
		again = false
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, e := range list {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || met[e.Name()] {
				continue
			}
			if err := do(tid); err != nil && err != unix.ESRCH {
				return err
			}
			met[e.Name()], again = true, true
		}
	}
	return nil
}
