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
		if round <= 1 { // the first has warmed up what stays
			goroutines, files = settled(t)
			continue
		}
		var g, f int
		until(t, patience, fmt.Sprintf("after %d deployments as few goroutines and descriptors as after two, %d and %d", round+1, goroutines, files),
			func() bool { g, f = left(t); return g <= goroutines && f <= files })
	}
}

// left counts goroutines and descriptors.
func left(t *testing.T) (goroutines, files int) {
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return runtime.NumGoroutine(), len(list)
}

// settled counts them when those that are on their way out have gone.
func settled(t *testing.T) (goroutines, files int) {
	goroutines, files = left(t)
	for range 50 {
		time.Sleep(5 * time.Millisecond)
		g, f := left(t)
		goroutines, files = min(g, goroutines), min(f, files)
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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
