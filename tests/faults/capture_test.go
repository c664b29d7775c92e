// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ezio/tests/faults/faultfs"
)

// capture runs ezio-btfiles and gives what it printed and its exit code.
func capture(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "ezio-btfiles"), append(args, "-q")...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// A source that cannot be read everywhere: the capture ends and says where, or, told to rescue what
// it can, loses just the bad sectors, lists them and is no success.
func TestCaptureOfAFailingDisk(t *testing.T) {
	t.Parallel()
	content := make([]byte, 24*mib)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(content)
	d, dev := faulty(t, content)
	bad := []struct{ at, n int64 }{{0, 512}, {5*mib + 512*3, 512}, {5*mib + 512*6, 1024}, {16*mib - 512, 4096 + 512}, {24*mib - 512, 512}}
	var rules []faultfs.Rule
	for _, b := range bad {
		rules = append(rules, faultfs.Rule{Op: faultfs.Read, From: b.at, To: b.at + b.n, Err: syscall.EIO})
	}
	d.Set(rules[1:]...)
	must(t, dropped(dev))
	out, said, code := capture(t, "-s", dev, "--raw")
	// The kernel reads in units of up to 2 MiB, and a whole unit fails: the place is its beginning.
	var at int64
	_, err := fmt.Sscanf(said, "ezio-btfiles: read "+dev+" at %v: input/output error", &at)
	if first := bad[1].at; code != 1 || out != "" || err != nil || at > first || at < first-2*mib {
		t.Errorf("exit code %d, %d bytes on stdout, %q (%v), want the place of %#x", code, len(out), said, err, first)
	}

	d.Set(rules...)
	must(t, dropped(dev))
	image := filepath.Join(t.TempDir(), "raw.img")
	out, said, code = capture(t, "-s", dev, "--raw", "--rescue", "--image", image)
	if code != 1 || !strings.Contains(out, "sha1: ") || !strings.Contains(said, "do not take it for a clean one") {
		t.Errorf("exit code %d, %d bytes on stdout, %q", code, len(out), said)
	}
	want := ""
	for _, b := range bad {
		want += fmt.Sprintf("unreadable\t%d\t%d\n", b.at, b.n)
		clear(content[b.at : b.at+b.n])
	}
	if !strings.HasPrefix(said, want) {
		t.Errorf("it lists\n%s, want\n%s", said, want)
	}
	got, err := os.ReadFile(image)
	must(t, err)
	if !bytes.Equal(got, content) {
		t.Error("the image is not the disk with zeros in the bad places")
	}

	// Nothing is bad any more: a clean capture, and no word of a rescue.
	d.Set()
	must(t, dropped(dev))
	if out, said, code = capture(t, "-s", dev, "--raw", "--rescue"); code != 0 || said != "" || out == "" {
		t.Errorf("exit code %d, %q", code, said)
	}
}

// A device slower than the cores is captured at its own speed: hashing is hidden behind reading.
func TestCaptureAtTheSpeedOfTheDevice(t *testing.T) {
	content := make([]byte, 64*mib)
	_, _ = rand.NewChaCha8([32]byte{10}).Read(content)
	d, dev := faulty(t, content)
	d.Set(faultfs.Rule{Op: faultfs.Read, Delay: 10 * time.Millisecond})
	timed := func(name string, args ...string) time.Duration {
		t.Helper()
		must(t, dropped(dev))
		start := time.Now()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return time.Since(start)
	}
	// Other work of the machine only ever makes it longer: the shortest of a few tries is what it takes.
	alone, ours := time.Hour, time.Hour
	for range 5 {
		alone = min(alone, timed("dd", "if="+dev, "of=/dev/null", "bs=1M", "status=none"))
		ours = min(ours, timed(filepath.Join(bin, "ezio-btfiles"), "-q", "--raw", "-s", dev))
		t.Logf("dd %v, ezio-btfiles %v", alone, ours)
		if ours <= alone*5/4+300*time.Millisecond {
			return
		}
	}
	t.Errorf("it took %v, and reading alone %v", ours, alone)
}
