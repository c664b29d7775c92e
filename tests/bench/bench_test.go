// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSelectPlans(t *testing.T) {
	tests := []struct {
		name string
		o    options
		want string // contestant/receivers/variant of each round
		err  string
	}{
		{"lone first and once", options{run: "links", with: "ezio,bare", receivers: "1,2"}, "lone/1/ ezio/1/ bare/1/ ezio/2/", ""},
		{"same lone for two scenarios", options{run: "links,bigpieces", with: "ezio", receivers: "2"}, "lone/1/ ezio/2/ ezio/2/", ""},
		{"lone asked for", options{run: "links", with: "lone", receivers: "4"}, "lone/1/", ""},
		{"troubles", options{run: "slow", quick: true}, "lone/1/ ezio/7/without it ezio/8/link ezio/8/disk", ""},
		{"too few", options{run: "vanish", receivers: "2"}, "", "too few receivers"},
		{"nobody without it", options{run: "slow", receivers: "1"}, "", "too few receivers"},
		{"scenario", options{run: "link"}, "", `no scenario "link"`},
		{"contestant", options{with: "rsync"}, "", `no contestant "rsync"`},
		{"size", options{size: "0"}, "", "-size 0"},
		{"receivers", options{receivers: "x"}, "", "-n x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.delay = "20ms"
			plans, err := selectPlans(tt.o)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range plans {
				got = append(got, strings.Join([]string{p.Contestant.Name, string(rune('0' + p.N)), p.Variant}, "/"))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("rounds %q, want %q", s, tt.want)
			}
		})
	}
}

func TestWantsCapture(t *testing.T) {
	for names, want := range map[string]string{"": "true  true", "capture": "true  false", "links,capture,slow": "true links,slow true", "links": "false links true"} {
		capture, others, rest := wantsCapture(names)
		if got := fmt.Sprint(capture, " ", others, " ", rest); got != want {
			t.Errorf("%q: %s, want %s", names, got, want)
		}
	}
}

// Ours is compared with in the fastest run of each.
func TestCaptureJob(t *testing.T) {
	job := captureJob{name: "wait", programs: []captureProgram{
		{name: "ours", args: []string{"echo", "0.5 x"}, own: true}, {name: "theirs", args: []string{"echo", "2 x"}, own: true},
	}}
	got, err := job.run(t.Context(), 3)
	if err != nil || len(got) != 2 || got[0].Seconds != 0.5 || got[1].Ours != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	var s strings.Builder
	writeCapture(&s, got)
	if !strings.Contains(s.String(), "4.00 x as fast") {
		t.Error(s.String())
	}
	job.programs[1].args = []string{"false"}
	if _, err := job.run(t.Context(), 1); err == nil {
		t.Error("a program that fails is no result")
	}
}

func TestIdeal(t *testing.T) {
	p := Plan{Rate: 100 * mbit, Bytes: 12_500_000}
	if p.Ideal() != time.Second {
		t.Errorf("12.5 MB at 100 Mbit/s: %v", p.Ideal())
	}
}

func TestProc(t *testing.T) {
	hwm, anon := memoryOf("Name:\tx\nVmHWM:\t   1024 kB\nVmRSS:\t 5 kB\nRssAnon:\t     512 kB\n")
	if hwm != mib || anon != mib/2 {
		t.Errorf("memoryOf: %d, %d", hwm, anon)
	}
	// The name of a process may hold anything, ") " too.
	stat := "42 (a b) S 1 42 42 0 -1 4194304 100 0 0 0 7 3 2 1 20 0 1 0"
	if cpu := cpuOf(stat); cpu != 130*time.Millisecond {
		t.Errorf("cpuOf: %v", cpu)
	}
	then, now := parseCPU("cpu 10 0 10 70 10 0 0 0 5 0"), parseCPU("cpu 20 0 20 120 40 0 0 0 5 0")
	if busy := then.busySince(now); busy != 0.2 {
		t.Errorf("busySince: %v", busy)
	}
	in := bufio.NewScanner(strings.NewReader("a\rb\nc"))
	in.Split(scanLinesOrReturns)
	var lines []string
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	if !slices.Equal(lines, []string{"a", "b", "c"}) {
		t.Errorf("lines %q", lines)
	}
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{mark + "12-3": 12, mark + "12-sw": 12, mark + "12": 0, mark + "x-1": 0, mark + "-1-1": 0, "other12-1": 0} {
		if pid, ok := owner(name); pid != want || ok != (want > 0) {
			if want == 0 && !ok {
				continue
			}
			t.Errorf("owner(%q) = %d, %v", name, pid, ok)
		}
	}
}

func TestCompare(t *testing.T) {
	im := testImage(t, 3*mib+page+1)
	good, err := os.ReadFile(im.Raw)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	write := func(change func(b []byte) []byte) []string {
		t.Helper()
		if err := os.WriteFile(out, change(slices.Clone(good)), 0o644); err != nil {
			t.Fatal(err)
		}
		return []string{out}
	}
	tests := []struct {
		name          string
		change        func(b []byte) []byte
		whole, halved bool // accepted from a finished receiver, from a stopped one
	}{
		{"same", func(b []byte) []byte { return b }, true, true},
		{"last byte", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false, false},
		{"page of zeros", func(b []byte) []byte { clear(b[2*page : 3*page]); return b }, false, true},
		{"half a page of zeros", func(b []byte) []byte { clear(b[2*page : 2*page+9]); return b }, false, false},
		{"short", func(b []byte) []byte { return b[:mib] }, false, true},
		{"long", func(b []byte) []byte { return append(b, 0) }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outs := write(tt.change)
			if err := im.Compare(outs, false); (err == nil) != tt.whole {
				t.Errorf("finished: %v", err)
			}
			if err := im.Compare(outs, true); (err == nil) != tt.halved {
				t.Errorf("stopped: %v", err)
			}
		})
	}
	if err := im.Compare(im.ExtentFiles(im.Parent), false); err != nil {
		t.Errorf("the extents' own files: %v", err)
	}
	if err := im.Compare(im.ExtentFiles(t.TempDir()), false); err == nil {
		t.Error("files that are not there pass")
	}
}

func TestPresence(t *testing.T) {
	im := testImage(t, 4*mib)
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, mib), 2*mib); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4 * mib); err != nil {
		t.Fatal(err)
	}
	pr := im.NewPresence()
	pr.Add([]string{f.Name()}, []int64{4 * mib})
	if pr.Share() != 0.25 || !pr[2*mib/page] || pr[2*mib/page-1] || pr[3*mib/page] {
		t.Errorf("share %v", pr.Share())
	}
	pr.Add(im.ExtentFiles(im.Parent), im.lengths)
	if pr.Share() != 1 {
		t.Errorf("share of the whole image: %v", pr.Share())
	}
}

func TestExtentLengths(t *testing.T) {
	for _, size := range []int64{1, mib, 272 * mib, 2*gib + 5} {
		sum := int64(0)
		for _, n := range extentLengths(size) {
			if n <= 0 {
				t.Errorf("%d: an extent of %d bytes", size, n)
			}
			sum += n
		}
		if sum != size {
			t.Errorf("%d: extents hold %d", size, sum)
		}
	}
}

func testImage(t *testing.T, size int64) *Image {
	t.Helper()
	im, err := NewImage(t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	return im
}
