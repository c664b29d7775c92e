// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ezio/lib/tracker"
)

// A lab is machines in network namespaces, plugged into a switch in one of its own.
type lab struct {
	t     testing.TB
	sw    string
	nodes []string // namespaces; a machine's address is ip(i)
}

var labs atomic.Int64

func newLab(t testing.TB, machines int) *lab {
	t.Helper()
	prefix := fmt.Sprintf("eziofault%d-%d-", os.Getpid(), labs.Add(1))
	l := &lab{t: t, sw: prefix + "sw"}
	for i := range machines {
		l.nodes = append(l.nodes, prefix+fmt.Sprint(i))
	}
	for _, ns := range append([]string{l.sw}, l.nodes...) {
		command(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { command(t, "ip", "netns", "del", ns) })
	}
	command(t, "ip", "-n", l.sw, "link", "add", "br0", "type", "bridge")
	command(t, "ip", "-n", l.sw, "link", "set", "br0", "up")
	for i, ns := range l.nodes {
		port := fmt.Sprintf("p%d", i)
		command(t, "ip", "-n", l.sw, "link", "add", port, "type", "veth", "peer", "name", "e0", "netns", ns)
		command(t, "ip", "-n", l.sw, "link", "set", port, "master", "br0", "up")
		command(t, "ip", "-n", ns, "link", "set", "lo", "up")
		// Packets as long as a wire takes, or one lost packet would be 64 KiB.
		command(t, "ip", "-n", ns, "link", "set", "e0", "gso_max_size", "1500", "gso_max_segs", "1", "up")
		command(t, "ip", "-n", ns, "addr", "add", l.ip(i)+"/24", "dev", "e0")
	}
	return l
}

func (l *lab) ip(i int) string { return fmt.Sprintf("10.94.0.%d", i+1) }

// start runs a program on a machine. It has no copy of our mounts, as `ip netns exec` would give it: it
// would keep the disks of other tests.
func (l *lab) start(i int, args ...string) *proc {
	l.t.Helper()
	if strings.HasPrefix(args[0], "ezio-") {
		args[0] = filepath.Join(bin, args[0])
	}
	return start(l.t, append([]string{"nsenter", "--net=/run/netns/" + l.nodes[i], "--"}, args...)...)
}

// seed serves on machine 0.
func (l *lab) seed(im *image, more ...string) *proc {
	l.t.Helper()
	s := l.start(0, append([]string{"ezio-seed", "-t", im.torrent, "-d", im.disk, "--progress", "json"}, more...)...)
	s.await("start", "serving")
	return s
}

func (l *lab) recv(i int, target string, more ...string) *proc {
	l.t.Helper()
	return l.start(i, append([]string{"ezio-recv", "-t", "http://" + l.ip(0) + ":6969/a.torrent", "-d", target,
		"--seed-idle", "0", "--force", "--progress", "json"}, more...)...)
}

// plug puts a machine's cable in or takes it out: its peers hear nothing, not even a reset.
func (l *lab) plug(i int, in bool) {
	l.t.Helper()
	command(l.t, "ip", "-n", l.sw, "link", "set", fmt.Sprintf("p%d", i), map[bool]string{true: "up", false: "down"}[in])
}

// lose drops so many of a hundred packets on the switch.
func (l *lab) lose(percent int) {
	l.t.Helper()
	l.nft(l.sw, fmt.Sprintf("table bridge f { chain c { type filter hook forward priority 0; numgen random mod 100 < %d counter drop; }; }", percent))
}

// hit says whether a rule with a counter ever applied.
func (l *lab) hit(ns string) bool {
	l.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", ns, "nft", "list", "ruleset").Output()
	must(l.t, err)
	return strings.Contains(string(out), "counter packets") && !strings.Contains(string(out), "counter packets 0 ")
}

func (l *lab) nft(ns, rules string) {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("nft: %v: %s", err, out)
	}
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// received wants receivers to end with the image on their targets.
func received(t testing.TB, im *image, all []*proc, targets []string) {
	t.Helper()
	for i, r := range all {
		r.success()
		im.check(t, readFile(t, targets[i]))
	}
}

// Networks that fail for a while cost that while and little more.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func(l *lab)
	}{
		{"a partition of 30 s", func(l *lab) {
			l.plug(0, false)
			time.Sleep(30 * time.Second)
			l.plug(0, true)
		}},
		{"ten flaps of a link", func(l *lab) {
			for range 10 {
				l.plug(1, false)
				time.Sleep(500 * time.Millisecond)
				l.plug(1, true)
				time.Sleep(time.Second)
			}
		}},
		{"5 % of packets lost", func(l *lab) { l.lose(5) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			im := newImage(t, 48, 256<<10)
			l := newLab(t, 4)
			l.seed(im, "--upload-limit", "2MiB")
			var all []*proc
			var targets []string
			for i := 1; i < 4; i++ {
				target := im.blankFile(t)
				all, targets = append(all, l.recv(i, target)), append(targets, target)
			}
			until(t, patience, "the first pieces", func() bool { return count(im.right(readFile(t, targets[0]))) > 3 })
			began := time.Now()
			c.fault(l)
			over := time.Now()
			received(t, im, all, targets)
			if strings.Contains(c.name, "lost") && !l.hit(l.sw) {
				t.Error("no packet was lost")
			}
			var done time.Time
			for _, r := range all {
				if e, _ := r.event("done", ""); e.Time.After(done) {
					done = e.Time
				}
				if r.said("peer_banned") {
					t.Error("somebody was banned")
				}
			}
			t.Logf("finished %v after the fault began", done.Sub(began).Round(time.Second))
			// 12 MiB at 2 MiB/s: what the network costs comes on top of that.
			if late := done.Sub(over); late > 36*time.Second {
				t.Errorf("finished %v after the fault was over", late)
			}
		})
	}
}

// A tracker that is away for a minute holds up those who need it so long; when nothing comes, it is
// said why; those who know each other carry on without it.
func TestTrackerDown(t *testing.T) {
	t.Parallel()
	im := newImage(t, 16, 256<<10)
	l := newLab(t, 2)
	announce := "http://" + l.ip(0) + ":6969/announce"
	target := im.blankFile(t)
	waiting := l.start(1, "ezio-recv", "-t", im.torrent, "-d", target, "--force", "--seed-idle", "0", "--tracker", announce, "--progress", "json")
	until(t, patience, "a word on the missing data", func() bool { return strings.Contains(waiting.err.String(), "no data for") })
	if msg := waiting.err.String(); !strings.Contains(msg, "no peer is connected: tracker "+announce+" says connection refused") {
		t.Errorf("it said: %s", msg)
	}
	l.seed(im)
	waiting.success()
	im.check(t, readFile(t, target))
}

// Those who know each other carry on when the tracker is gone, and whoever knows one of them gets to
// know the others.
func TestTrackerGone(t *testing.T) {
	t.Parallel()
	im := newImage(t, 48, 256<<10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- tracker.NewServer(tracker.ServerConfig{Torrents: []tracker.Tracked{{InfoHash: im.t.InfoHash}}}).Serve(ctx, l)
	}()
	announce := "http://" + l.Addr().String() + "/announce"
	tracked := filepath.Join(t.TempDir(), "tracked.torrent")
	raw, err := im.t.WithAnnounce(announce)
	must(t, err)
	must(t, os.WriteFile(tracked, raw, 0o600))

	start(t, "ezio-seed", "-t", tracked, "-d", im.disk, "--listen", "127.0.0.1:0", "--no-tracker", "--upload-limit", "1MiB")
	var all []*proc
	var targets []string
	join := func(torrent string, more ...string) {
		target := im.blankFile(t)
		more = append([]string{"--force", "--seed-idle", "15s"}, more...)
		all, targets = append(all, recv(t, torrent, target, more...)), append(targets, target)
	}
	join(tracked)
	join(tracked)
	for i := range all {
		until(t, patience, "the first pieces", func() bool { return count(im.right(readFile(t, targets[i]))) > 2 })
	}
	cancel()
	must(t, <-served)
	join(im.torrent, "--peer", fmt.Sprintf("127.0.0.1:%d", all[0].await("start", "receiving").Port))
	received(t, im, all, targets)
}

// A seed that is killed when every piece has left it is not needed any more.
func TestSeedKilledWhenAllHasLeft(t *testing.T) {
	t.Parallel()
	im := newImage(t, 64, 256<<10)
	s := seed(t, im.torrent, im.disk, "--upload-limit", "8MiB")
	var all []*proc
	var targets []string
	for range 3 {
		target := im.blankFile(t)
		all, targets = append(all, recv(t, s.url, target, "--force", "--seed-idle", "10s")), append(targets, target)
	}
	until(t, patience, "every piece to have left the seed", func() bool {
		left := make([]bool, len(im.t.Pieces))
		for _, target := range targets {
			for i, ok := range im.right(readFile(t, target)) {
				left[i] = left[i] || ok
			}
		}
		return count(left) == len(left)
	})
	s.signal(syscall.SIGKILL)
	received(t, im, all, targets)
}

// A seed that is killed before that is waited for, and when it is back the job is finished.
func TestSeedKilledAndRestarted(t *testing.T) {
	t.Parallel()
	im := newImage(t, 64, 256<<10)
	l := newLab(t, 3)
	s := l.seed(im, "--upload-limit", "2MiB")
	var all []*proc
	var targets []string
	for i := 1; i < 3; i++ {
		target := im.blankFile(t)
		all, targets = append(all, l.recv(i, target, "--seed-idle", "5s")), append(targets, target)
	}
	until(t, patience, "some pieces", func() bool { return count(im.right(readFile(t, targets[0]))) > 4 })
	s.signal(syscall.SIGKILL)
	s.wait()
	for _, r := range all {
		until(t, patience, "a word on the missing data", func() bool {
			return strings.Contains(r.err.String(), "no data for") && strings.Contains(r.err.String(), "missing")
		})
		if r.said("done") {
			t.Error("it said done")
		}
	}
	l.seed(im)
	received(t, im, all, targets)
}

// A hundred machines come and go at random during one deployment; all that stay finish.
func TestJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	im := newImage(t, 64, 256<<10)
	s := seed(t, im.torrent, im.disk, "--upload-limit", "2MiB")
	var all []*proc
	var targets []string
	for range 3 {
		target := im.blankFile(t)
		all, targets = append(all, recv(t, s.url, target, "--force", "--seed-idle", "5s")), append(targets, target)
	}
	comeAndGo(t, im, s, 100)
	received(t, im, all, targets)
}

func comeAndGo(t *testing.T, im *image, s *seeding, times int) {
	const atOnce = 8
	gone := make(chan struct{}, atOnce)
	for range atOnce {
		gone <- struct{}{}
	}
	for i := range times {
		<-gone
		r := recv(t, s.url, im.blankFile(t), "--force")
		go func() {
			time.Sleep(time.Duration(50+i*37%900) * time.Millisecond)
			r.signal([]os.Signal{syscall.SIGKILL, syscall.SIGINT}[i%2])
			<-r.done
			gone <- struct{}{}
		}()
	}
	for range atOnce {
		<-gone
	}
}
