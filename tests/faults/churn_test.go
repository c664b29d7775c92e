// SPDX-License-Identifier: GPL-2.0-or-later

package faults

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"ezio/lib/disk"
	"ezio/lib/store"
	"ezio/lib/swarm"
)

// Deployments one after another in one process leave nothing behind: no goroutine, no descriptor.
// It means most under the race detector.
func TestTwentyDeployments(t *testing.T) {
	im := newImage(t, 24, 256<<10)
	dir := t.TempDir()
	var goroutines, files int
	for round := range 20 {
		deploy(t, im, dir, 4)
		g, f := left(t)
		if round == 1 { // the first has warmed up what stays
			goroutines, files = g, f
		}
		if round > 1 && (g > goroutines || f > files) {
			t.Fatalf("after %d deployments: %d goroutines and %d descriptors; after two there were %d and %d",
				round+1, g, f, goroutines, files)
		}
	}
}

// left counts goroutines and descriptors, when those that are on their way out have gone.
func left(t *testing.T) (goroutines, files int) {
	least := func(n *int, now int) {
		if *n == 0 || now < *n {
			*n = now
		}
	}
	for range 20 {
		least(&goroutines, runtime.NumGoroutine())
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		least(&files, len(list))
		time.Sleep(5 * time.Millisecond)
	}
	return goroutines, files
}

func deploy(t *testing.T, im *image, dir string, receivers int) {
	t.Helper()
	source, err := store.OpenSource(im.disk)
	must(t, err)
	defer source.Close()
	good := swarm.New(im.t, store.NewSource(im.t, source, im.disk), swarm.Config{Listen: "127.0.0.1:0"})
	must(t, good.Start())
	defer good.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var all []*swarm.Swarm
	var targets []string
	known := []netip.AddrPort{local(good)}
	for i := range receivers {
		path := filepath.Join(dir, fmt.Sprintf("%d.img", i))
		target, err := disk.OpenTarget(path, disk.TargetOptions{Need: int64(len(im.bytes)), FileSize: int64(len(im.bytes))})
		must(t, err)
		defer target.Close()
		st := store.New(im.t, target, path)
		go st.WriteBack(ctx)
		s := swarm.New(im.t, st, swarm.Config{Listen: "127.0.0.1:0"})
		must(t, s.Start())
		defer s.Close()
		s.AddPeers(known)
		all, targets, known = append(all, s), append(targets, path), append(known, local(s))
	}
	for i, s := range all {
		must(t, s.Wait(ctx))
		if n := count(im.right(readFile(t, targets[i]))); n != len(im.t.Pieces) {
			t.Errorf("%d pieces right", n)
		}
		must(t, os.Remove(targets[i]))
	}
}

func local(s *swarm.Swarm) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.Port()))
}
