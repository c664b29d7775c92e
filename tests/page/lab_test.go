// SPDX-License-Identifier: GPL-2.0-or-later

// Package page looks at the seed's page in headless Chromium while a real swarm works: every machine
// in a network namespace, all in namespaces of the test's own, which end with it.
//
// EZIO_SHOTS=DIR keeps screenshots there.
package page

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// apart is set in the process that has the namespaces.
const apart = "EZIO_PAGE_APART"

// TestMain starts the tests again in namespaces of their own.
func TestMain(m *testing.M) {
	if os.Getenv(apart) != "" {
		os.Exit(m.Run())
	}
	const enter = `mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip link set lo up && exec "$@"`
	args := append([]string{"unshare", "--net", "--mount", "sh", "-c", enter, "sh"}, os.Args...)
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = syscall.Exec(path, args, append(os.Environ(), apart+"=1"))
	}
	fmt.Fprintln(os.Stderr, "unshare (util-linux, as root):", err)
	os.Exit(1)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sh(t testing.TB, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// A lab is a switch, with the seed and the browser at 10.0.0.1.
type lab struct {
	t        testing.TB
	bin, dir string
	seed     *program
	url      string // of the page
}

// A program is one of ours, at work.
type program struct {
	cmd      *exec.Cmd
	out, err lockedBuffer
	done     chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t testing.TB, dir string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.out, &p.err
	must(t, p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// wait is the exit code.
func (p *program) wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		t.Fatalf("%v did not end within %v: %s", p.cmd.Args, limit, p.err.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// newLab captures an image of so many bytes and serves it.
func newLab(t testing.TB, size int, args ...string) *lab {
	t.Helper()
	bin, err := filepath.Abs("../../bin")
	must(t, err)
	l := &lab{t: t, bin: bin, dir: t.TempDir()}
	sh(t, "ip link add lan type bridge && ip addr add 10.0.0.1/24 dev lan && ip link set lan up")
	b := make([]byte, size)
	rand.Read(b)
	must(t, os.WriteFile(filepath.Join(l.dir, "sda1.img"), b, 0o644))
	sh(t, fmt.Sprintf("cd %s && %s/ezio-btfiles -q --raw -s sda1.img | %[2]s/ezio-mktorrent -q -n debian-13-classroom > a.torrent", l.dir, bin))
	l.seed = start(t, l.dir, append([]string{bin + "/ezio-seed", "-t", "a.torrent", "-d", "sda1.img", "--tracker-listen", "10.0.0.1:6969", "--progress", "json"}, args...)...)
	eventually(t, "the seed serves", func() bool { return strings.Contains(l.seed.out.String(), "tracker_port") })
	l.url = "http://10.0.0.1:6969"
	return l
}

// machine is a network namespace with that number, plugged into the switch.
func (l *lab) machine(n int) (name string) {
	l.t.Helper()
	name = fmt.Sprintf("lab-%02d", n)
	must(l.t, os.MkdirAll(filepath.Join(l.dir, name), 0o755))
	sh(l.t, fmt.Sprintf(`ip netns add %[1]s
		ip link add port%[2]d type veth peer name eth0 netns %[1]s
		ip link set port%[2]d master lan up
		ip -n %[1]s addr add 10.0.0.%[3]d/24 dev eth0
		ip -n %[1]s link set eth0 up
		ip -n %[1]s link set lo up`, name, n, 100+n))
	return name
}

// recv starts a receiver on that machine, which has a name of its own.
func (l *lab) recv(name, target string, args ...string) *program {
	l.t.Helper()
	all := append([]string{"ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", `echo "$0" > /proc/sys/kernel/hostname && exec "$@"`, name,
		l.bin + "/ezio-recv", "-t", l.url + "/a.torrent", "-d", target, "--progress", "json"}, args...)
	return start(l.t, filepath.Join(l.dir, name), all...)
}

// same says whether a machine has the image.
func (l *lab) same(name string) {
	l.t.Helper()
	sh(l.t, fmt.Sprintf("cmp %s/sda1.img %[1]s/%s/sda1.img", l.dir, name))
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s", what)
		}
	}
}
