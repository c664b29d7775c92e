// SPDX-License-Identifier: GPL-2.0-or-later

// Package screen shows the deployments on a terminal, full-screen: the same rows as lib/page, sorted
// and searched by keys, with the program's remarks below.
//
// It draws what it is given and decides nothing. While it is up the terminal is its own: whatever
// else the program has to say goes through Remarks.
package screen

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"

	"ezio/lib/progress"
	"ezio/lib/roster"
)

// Config says what to show.
type Config struct {
	// Status is the deployments at this moment; their order does not change.
	Status  func() []roster.Status
	Remarks *Remarks
	Screen  tcell.Screen // not initialised; nil: the terminal of the process
}

// lookEvery is how often what is shown is brought up to date.
const lookEvery = 500 * time.Millisecond

// remarkLines is how many remarks are in sight.
const remarkLines = 5

// A screen is the parts of the display and how somebody wants to see the rows.
type screen struct {
	cfg    Config
	app    *tview.Application
	head   *tview.TextView
	table  *tview.Table
	find   *tview.InputField
	news   *tview.TextView
	keys   *tview.TextView
	layout *tview.Flex

	column  int // of roster.Columns, sorted by
	reverse bool
	shown   []string // the rows' ids, to keep the cursor on its row
	width   int      // of the terminal, in columns
}

// Show takes the terminal and shows what is going on until ctx ends (nil) or the user quits
// (quit is true). An error means that there is no terminal to show it on, or that it is lost; the
// terminal then is as it was.
func Show(ctx context.Context, cfg Config) (quit bool, err error) {
	if cfg.Screen == nil {
		if cfg.Screen, err = tcell.NewScreen(); err != nil {
			return false, fmt.Errorf("terminal: %w", err)
		}
	}
	s := newScreen(cfg)
	s.update()
	over, end := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.keepCurrent(over)
	}()
	err = s.app.SetScreen(cfg.Screen).SetRoot(s.layout, true).SetFocus(s.table).Run()
	quit = ctx.Err() == nil && err == nil
	end()
	<-stopped
	return quit, err
}

func newScreen(cfg Config) *screen {
	s := &screen{
		cfg: cfg, app: tview.NewApplication(), column: slices.Index(roster.Columns, "state"), width: 120,
		head: tview.NewTextView(), table: tview.NewTable(), find: tview.NewInputField(), news: tview.NewTextView(), keys: tview.NewTextView(),
	}
	for _, b := range []*tview.Box{s.head.Box, s.table.Box, s.find.Box, s.news.Box, s.keys.Box} {
		b.SetBackgroundColor(tcell.ColorDefault)
	}
	for _, v := range []*tview.TextView{s.head, s.news, s.keys} {
		v.SetTextStyle(tcell.StyleDefault)
	}
	s.keys.SetText("up/down move   left/right sort by   r reverse   / find   q quit")
	s.keys.SetTextStyle(tcell.StyleDefault.Reverse(true))
	s.find.SetLabel("find: ").SetFieldBackgroundColor(tcell.ColorDefault).SetFieldTextColor(tcell.ColorDefault).SetLabelColor(tcell.ColorDefault)
	s.find.SetChangedFunc(func(string) { s.update() })
	s.find.SetDoneFunc(func(k tcell.Key) {
		if k == tcell.KeyEscape {
			s.find.SetText("")
		}
		s.app.SetFocus(s.table)
	})
	s.table.SetFixed(1, 1).SetSelectable(true, false).SetSelectedStyle(tcell.StyleDefault.Reverse(true))
	s.table.SetInputCapture(s.onKey)
	s.app.SetBeforeDrawFunc(s.fit)
	s.layout = tview.NewFlex().SetDirection(tview.FlexRow).
		AddItem(s.head, 1, 0, false).AddItem(s.table, 0, 1, true).AddItem(s.find, 0, 0, false).
		AddItem(s.news, remarkLines, 0, false).AddItem(s.keys, 1, 0, false)
	return s
}

// keepCurrent updates the screen from time to time, and ends the application when ctx does.
func (s *screen) keepCurrent(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var busy atomic.Bool
	for {
		select {
		case <-ctx.Done():
			s.app.Stop()
			return
		case <-tick.C:
			// An application that has ended lets its updates wait for ever: that one must not be us.
			if busy.CompareAndSwap(false, true) {
				go s.app.QueueUpdateDraw(func() { s.update(); busy.Store(false) })
			}
		}
	}
}

// fit gives each part the lines it needs; on a low terminal the table comes first.
func (s *screen) fit(t tcell.Screen) bool {
	width, height := t.Size()
	if width != s.width {
		s.width = width
		s.fill(s.cfg.Status()) // columns depend on it
	}
	head := strings.Count(s.head.GetText(false), "\n") + 1
	news, find := remarkLines, 0
	if height < 20 {
		head, news = min(head, 1), min(1, max(0, height-6))
	}
	if s.find.HasFocus() || s.find.GetText() != "" {
		find = 1
	}
	s.layout.ResizeItem(s.head, head, 0).ResizeItem(s.news, news, 0).ResizeItem(s.find, find, 0)
	return false
}

func (s *screen) onKey(e *tcell.EventKey) *tcell.EventKey {
	switch {
	case e.Key() == tcell.KeyCtrlC, e.Rune() == 'q':
		s.app.Stop()
	case e.Key() == tcell.KeyLeft, e.Key() == tcell.KeyRight:
		step := len(roster.Columns) - 1
		if e.Key() == tcell.KeyRight {
			step = 1
		}
		s.column = (s.column + step) % len(roster.Columns)
		s.reverse = roster.Columns[s.column] == "rate" || roster.Columns[s.column] == "done"
		s.update()
	case e.Rune() == 'r':
		s.reverse = !s.reverse
		s.update()
	case e.Rune() == '/':
		s.app.SetFocus(s.find)
	case e.Key() == tcell.KeyEscape:
		s.find.SetText("")
	default:
		return e
	}
	return nil
}

// update fills the parts with what is the case now. It runs where the application's events do.
func (s *screen) update() {
	all := s.cfg.Status()
	s.head.SetText(heads(all))
	s.news.SetText(strings.Join(s.cfg.Remarks.last(remarkLines), "\n"))
	s.fill(all)
}

// heads is a line for each deployment.
func heads(all []roster.Status) string {
	lines := make([]string, len(all))
	for i, t := range all {
		percent := progress.Percent(t.DoneBytes, t.Total)
		lines[i] = fmt.Sprintf("%s  %s %3d%%  %d of %d done", t.Name, bar(percent, 24), percent, t.Counts.Done, t.Counts.All)
		if t.Counts.Unfinished > 0 {
			lines[i] += fmt.Sprintf(", %d did not finish", t.Counts.Unfinished)
		}
		if t.ETA != nil {
			lines[i] += ", " + progress.Duration(*t.ETA) + " left"
		}
		lines[i] += fmt.Sprintf("  receivers get %s, seed sends %s", progress.Rate(t.Rate), progress.Rate(t.SeedRate))
	}
	return strings.Join(lines, "\n")
}

func bar(percent, width int) string {
	n := percent * width / 100
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", width-n) + "]"
}
