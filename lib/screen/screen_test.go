// SPDX-License-Identifier: GPL-2.0-or-later

package screen

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"ezio/lib/roster"
)

func eta(s int64) *int64 { return &s }

func deployments() []roster.Status {
	return []roster.Status{{
		Name: "sda1", DoneBytes: 30, Total: 100, Rate: 5 << 20, ETA: eta(70), Counts: roster.Counts{All: 3, Done: 1, Unfinished: 1},
		Receivers: []roster.Receiver{
			{ID: "1", Name: "lab-10", Addr: "10.0.0.10", State: roster.Receiving, DoneBytes: 30, TotalBytes: 100, Rate: 3 << 20, ETA: eta(70), Device: "/dev/sda"},
			{ID: "2", Name: "lab-9", Addr: "10.0.0.9", State: roster.Done, DoneBytes: 100, TotalBytes: 100, Seconds: 65, Device: "/dev/sdb"},
			{ID: "3", Name: "[red]lab-1", Addr: "10.0.0.1", State: roster.Failed, Reason: "write: input/output error", TotalBytes: 100},
		},
	}}
}

// a stage is a terminal of the tests' own with a screen on it.
type stage struct {
	t    *testing.T
	sim  *sized
	over chan struct{}
	quit bool
	err  error
	end  context.CancelFunc
}

func play(t *testing.T, remarks *Remarks, width, height int) *stage {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{t: t, sim: &sized{SimulationScreen: tcell.NewSimulationScreen("UTF-8"), w: width, h: height}, over: make(chan struct{}), end: cancel}
	go func() {
		defer close(s.over)
		s.quit, s.err = Show(ctx, Config{Status: deployments, Remarks: remarks, Screen: s.sim})
	}()
	t.Cleanup(func() { cancel(); <-s.over })
	return s
}

// sized begins with a size of its own, and keeps what was last shown: the simulation's own cells
// are drawn on by others.
type sized struct {
	tcell.SimulationScreen
	w, h int

	mu    sync.Mutex
	shown []string
}

func (s *sized) Init() error {
	err := s.SimulationScreen.Init()
	s.SetSize(s.w, s.h)
	return err
}

func (s *sized) Show() {
	s.SimulationScreen.Show()
	cells, w, h := s.GetContents()
	var list []string
	for y := range h {
		var b strings.Builder
		for x := range w {
			if r := cells[y*w+x].Runes; len(r) > 0 {
				b.WriteRune(r[0])
			}
		}
		list = append(list, strings.TrimRight(b.String(), " "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = list
}

// lines is what is on the terminal.
func (s *stage) lines() []string {
	s.sim.mu.Lock()
	defer s.sim.mu.Unlock()
	return s.sim.shown
}

// shows waits until lines with these texts stand one below the other, and nothing of not does.
func (s *stage) shows(what string, texts ...string) {
	s.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		rest := texts
		for _, l := range s.lines() {
			if len(rest) > 0 && strings.Contains(l, rest[0]) {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s: no %q in\n%s", what, rest[0], strings.Join(s.lines(), "\n"))
		}
	}
}

func (s *stage) keys(keys ...any) {
	for _, k := range keys {
		switch k := k.(type) {
		case tcell.Key:
			s.sim.InjectKey(k, 0, tcell.ModNone)
		case string:
			for _, r := range k {
				s.sim.InjectKey(tcell.KeyRune, r, tcell.ModNone)
			}
		}
	}
}

func TestRowsAndKeys(t *testing.T) {
	remarks := NewRemarks(&bytes.Buffer{})
	remarks.Hold()
	s := play(t, remarks, 120, 24)
	s.shows("trouble first", "sda1  [=======", "STATE ^", "[red]lab-1 10.0.0.1", "lab-10 10.0.0.10", "lab-9 10.0.0.9", "q quit")
	s.shows("what a row says", "failed: write: input/output error", "30% 3.0 MiB/s 1 min 10 s left /dev/sda", "took 1 min 05 s")
	fmt.Fprintln(remarks, "ezio-seed: lab-9 has joined")
	s.shows("remarks", "lab-9 has joined")
	s.keys(tcell.KeyLeft)
	s.shows("by name", "RECEIVER ^", "[red]lab-1", "lab-9", "lab-10")
	s.keys("r")
	s.shows("the other way", "RECEIVER v", "lab-10", "lab-9", "[red]lab-1")
	s.keys("/", "SDB", tcell.KeyEnter)
	s.shows("found", "RECEIVER v", "lab-9", "find: SDB")
	if text := strings.Join(s.lines(), "\n"); strings.Contains(text, "lab-10") {
		t.Errorf("more than what is searched for:\n%s", text)
	}
	s.keys(tcell.KeyEscape)
	s.shows("all again", "lab-10", "lab-9")
	s.sim.SetSize(60, 10)
	s.shows("small", "sda1  [", "RECEIVER", "lab-10", "lab-9", "[red]lab-1")
	s.keys("q")
	<-s.over
	if !s.quit || s.err != nil {
		t.Errorf("quit %v, %v", s.quit, s.err)
	}
}

// The cursor stays on its receiver when others come before it.
func TestCursorStays(t *testing.T) {
	s := newScreen(Config{Status: deployments, Remarks: NewRemarks(&bytes.Buffer{})})
	s.update()
	s.table.Select(3, 0) // lab-9, the last by state
	s.column = 0
	s.update()
	if row, _ := s.table.GetSelection(); s.shown[row-1] != "2" {
		t.Errorf("the cursor is on %s", s.shown[row-1])
	}
}

func TestEndsWithItsContext(t *testing.T) {
	s := play(t, NewRemarks(&bytes.Buffer{}), 80, 24)
	s.shows("it is up", "RECEIVER")
	s.end()
	<-s.over
	if s.quit || s.err != nil {
		t.Errorf("quit %v, %v", s.quit, s.err)
	}
}

func TestRemarks(t *testing.T) {
	var out bytes.Buffer
	r := NewRemarks(&out)
	fmt.Fprint(r, "before\n")
	r.Hold()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				fmt.Fprintf(r, "line of %d\n", i)
			}
		})
	}
	wg.Wait()
	fmt.Fprint(r, "one in ")
	fmt.Fprint(r, "two\nhalf")
	if out.String() != "before\n" || strings.Join(r.last(1), "") != "one in two" {
		t.Errorf("%q, last %q", out.String(), r.last(1))
	}
	r.Release()
	fmt.Fprint(r, " a line\n")
	if got := out.String(); strings.Count(got, "\n") != 43 || !strings.HasSuffix(got, "one in two\nhalf a line\n") {
		t.Errorf("%d lines: %s", strings.Count(got, "\n"), got)
	}
	r.Hold()
	for i := range 3000 {
		fmt.Fprintln(r, i)
	}
	if n := len(r.last(1 << 20)); n != maxRemarks {
		t.Errorf("%d lines are kept", n)
	}
}
