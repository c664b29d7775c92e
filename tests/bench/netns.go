// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Rate is a link's speed in bits a second; 0 is no limit.
type Rate int64

const mbit Rate = 1e6

func (r Rate) String() string {
	if r == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%g Mbit/s", float64(r)/float64(mbit))
}

// Link is one machine's connection to the switch.
type Link struct{ Up, Down Rate }

const (
	// A token bucket smaller than the largest segment the stack hands down (64 KiB and the
	// headers of its packets) would cut each into packets in software, which costs more CPU than
	// the links we imitate.
	tbfBurst = 80_000 // bytes
	// What waits in front of the link: a network card's ring and a switch's port buffer.
	tbfLatency = "50ms"
)

// mark begins the name of every namespace and directory of ours, followed by our process id.
const mark = "eziobench"

func ownPrefix() string { return fmt.Sprintf("%s%d-", mark, os.Getpid()) }

// Lab is a switch and the machines plugged into it, all in network namespaces of their own; the
// machine's own network is not touched.
type Lab struct {
	sw    string
	Nodes []*Node
}

// Node is one machine. Node 0 is the seed.
type Node struct {
	NS   string // namespace
	IP   string // address, only known inside the lab
	port string // its port on the switch
}

// NewLab makes one machine for each link. On an error nothing is left behind.
func NewLab(ctx context.Context, links []Link) (*Lab, error) {
	prefix := ownPrefix()
	l := &Lab{sw: prefix + "sw"}
	for i := range links {
		l.Nodes = append(l.Nodes, &Node{
			NS:   prefix + strconv.Itoa(i),
			IP:   fmt.Sprintf("10.91.%d.%d", i/200, i%200+1),
			port: "p" + strconv.Itoa(i),
		})
	}
	if err := l.build(ctx, links); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// onlySwitch keeps the bridge from asking the firewall about every frame, which no switch does and all
// contestants would pay for. A kernel without br_netfilter has no such files.
func (l *Lab) onlySwitch(ctx context.Context) error {
	const off = `for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$f" ] || echo 0 >"$f"; done`
	return command(ctx, "ip", "netns", "exec", l.sw, "sh", "-ec", off)
}

func (l *Lab) build(ctx context.Context, links []Link) error {
	names := "netns add " + l.sw + "\n"
	for _, n := range l.Nodes {
		names += "netns add " + n.NS + "\n"
	}
	if err := batch(ctx, names, "ip"); err != nil {
		return err
	}
	// Without a multicast querier on the bridge, snooping would cut udpcast off.
	sw := "link add br0 type bridge mcast_snooping 0\nlink set br0 up\n"
	for _, n := range l.Nodes {
		sw += fmt.Sprintf("link add %s type veth peer name e0 netns %s\nlink set %s master br0 up\n", n.port, n.NS, n.port)
	}
	if err := batch(ctx, sw, "ip", "-n", l.sw); err != nil {
		return err
	}
	if err := l.onlySwitch(ctx); err != nil {
		return err
	}
	limits := ""
	for i, n := range l.Nodes {
		if err := n.configure(ctx); err != nil {
			return err
		}
		limits += tbf(n.port, links[i].Down)
		if up := tbf("e0", links[i].Up); up != "" {
			if err := batch(ctx, up, "tc", "-n", n.NS); err != nil {
				return err
			}
		}
	}
	if limits == "" {
		return nil
	}
	return batch(ctx, limits, "tc", "-n", l.sw)
}

func tbf(dev string, r Rate) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf("qdisc add dev %s root tbf rate %dbit burst %d latency %s\n", dev, int64(r), tbfBurst, tbfLatency)
}

// configure gives a machine its address and a stock kernel's TCP, whatever this machine is tuned to.
// The congestion control comes with the route: a namespace may only choose among those the machine
// allows to everybody.
func (n *Node) configure(ctx context.Context) error {
	err := batch(ctx, fmt.Sprintf(`link set lo up
addr add %[1]s/16 brd + dev e0 noprefixroute
link set e0 up
route add 10.91.0.0/16 dev e0 src %[1]s congctl cubic
route add default dev e0
`, n.IP), "ip", "-n", n.NS)
	if err != nil {
		return err
	}
	return command(ctx, "ip", "netns", "exec", n.NS, "sysctl", "-qw",
		"net.ipv4.tcp_rmem=4096 131072 6291456", "net.ipv4.tcp_wmem=4096 16384 4194304")
}

// Unplug takes the machine's cable out: its peers see no FIN and no RST, only silence.
func (l *Lab) Unplug(ctx context.Context, n *Node) error {
	return command(ctx, "ip", "-n", l.sw, "link", "set", n.port, "down")
}

// Sent is the number of bytes the machine has put on its link.
func (n *Node) Sent(ctx context.Context) (int64, error) {
	out, err := exec.CommandContext(ctx, "ip", "-n", n.NS, "-s", "-j", "link", "show", "dev", "e0").Output()
	if err != nil {
		return 0, fmt.Errorf("read counters of %s: %w", n.NS, err)
	}
	var links []struct {
		Stats struct {
			Tx struct{ Bytes int64 }
		} `json:"stats64"`
	}
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		return 0, fmt.Errorf("read counters of %s: unexpected answer %q (%v)", n.NS, out, err)
	}
	return links[0].Stats.Tx.Bytes, nil
}

// Close removes the namespaces, and with them the switch and the links. Programs still running in
// one must have ended before.
func (l *Lab) Close() error {
	var errs []error
	for _, ns := range append([]string{l.sw}, l.names()...) {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			errs = append(errs, command(context.Background(), "ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}

func (l *Lab) names() []string {
	names := make([]string, len(l.Nodes))
	for i, n := range l.Nodes {
		names[i] = n.NS
	}
	return names
}

// sweep removes what a bench that was killed could not: namespaces and directories that bear our
// mark and the id of a process that is no more.
func sweep(ctx context.Context, dir string) error {
	var errs []error
	for _, name := range abandoned("/run/netns") {
		errs = append(errs, command(ctx, "ip", "netns", "del", name))
	}
	for _, name := range abandoned(dir) {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func abandoned(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // /run/netns comes with the first namespace
	}
	var names []string
	for _, e := range entries {
		pid, ok := owner(e.Name())
		if ok && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			names = append(names, e.Name())
		}
	}
	return names
}

// owner is the process id in the name of what a bench made.
func owner(name string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, mark)
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	pid, err := strconv.Atoi(digits)
	return pid, err == nil && pid > 0
}

// batch feeds lines of commands to one ip or tc: a lab of 33 machines takes hundreds.
func batch(ctx context.Context, lines string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, append(args, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(lines)
	return runQuietly(cmd)
}

func command(ctx context.Context, name string, args ...string) error {
	return runQuietly(exec.CommandContext(ctx, name, args...))
}

func runQuietly(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// Ctrl+C is for us alone to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}
