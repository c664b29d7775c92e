// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playTest plays a round of lone streams with programs just built, in a lab of its own.
func playTest(t *testing.T, ctx context.Context, p Plan) (Result, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("must be root: it makes network namespaces")
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "./stream").CombinedOutput(); err != nil {
		t.Fatalf("build stream: %v: %s", err, out)
	}
	im := testImage(t, p.Bytes)
	t.Cleanup(func() {
		for _, name := range abandonedBy(t, os.Getpid()) {
			t.Errorf("namespace %s is left", name)
		}
	})
	return runRound(ctx, p, tools{stream: filepath.Join(bin, "stream")}, im, t.TempDir())
}

func abandonedBy(t *testing.T, pid int) []string {
	t.Helper()
	entries, err := os.ReadDir("/run/netns")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if p, ok := owner(e.Name()); ok && p == pid {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestRound(t *testing.T) {
	bare, err := contestantByName("bare")
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{Scenario: "test", Contestant: bare, N: 1, Rate: 200 * mbit, Bytes: 10 * mib, PieceLength: mib}
	res, err := playTest(t, t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	// No link is faster than its limit; how much slower depends on what else the machine does.
	if res.Ideal < 1 {
		t.Errorf("%.2f times bytes/rate: the link has no limit", res.Ideal)
	}
	if res.SeedSent < 1 || res.SeedSent > 1.2 {
		t.Errorf("seed sent %.2f times the image", res.SeedSent)
	}
	if res.ReceiverRSS == 0 || res.ReceiverCPU <= 0 {
		t.Errorf("no costs: %+v", res)
	}
}

// A receiver that says it is done but wrote something else must not pass.
func TestRoundFindsWrongBytes(t *testing.T) {
	liar := Contestant{Name: "liar", Seed: streamSeed, Receiver: func(r *round, i int) Command {
		c := loneReceiver(r, i)
		script := `head -c $2 /dev/zero > $1; echo '{"event":"done","time":"2026-01-01T00:00:00Z"}'; cat`
		c.Args = []string{"sh", "-c", script, "sh", c.Outputs[0], "1048576"}
		return c
	}}
	_, err := playTest(t, t.Context(), Plan{Scenario: "test", Contestant: liar, N: 1, Bytes: mib, PieceLength: mib})
	if err == nil || !strings.Contains(err.Error(), "differs from the image") {
		t.Errorf("error %v", err)
	}
}

func TestRoundInterrupted(t *testing.T) {
	idle := Contestant{Name: "idle", Seed: streamSeed, Receiver: func(*round, int) Command {
		return Command{Args: []string{"sh", "-c", "trap '' TERM; sleep 1000 & wait"}}
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := playTest(t, ctx, Plan{Scenario: "test", Contestant: idle, N: 2, Bytes: mib, PieceLength: mib})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
