// SPDX-License-Identifier: GPL-2.0-or-later

package screen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"

	"ezio/lib/progress"
	"ezio/lib/roster"
)

var titles = map[string]string{"name": "RECEIVER", "state": "STATE", "done": "PROGRESS", "rate": "RATE", "time": "TIME", "device": "DEVICE"}

var colors = map[roster.State]tcell.Color{
	roster.Receiving: tcell.ColorDefault, roster.Joining: tcell.ColorGray, roster.Seeding: tcell.ColorGray, roster.Verifying: tcell.ColorTeal,
	roster.Done: tcell.ColorGreen, roster.Slow: tcell.ColorOlive, roster.Lost: tcell.ColorMaroon, roster.Refused: tcell.ColorMaroon, roster.Failed: tcell.ColorMaroon,
}

// A line is a row of the table, and the image that it is about where there are several.
type line struct {
	roster.Receiver
	image string
}

// fill puts the rows in the table; the cursor stays on the receiver that it is on.
func (s *screen) fill(all []roster.Status) {
	lines := s.arrange(all)
	at, _ := s.table.GetSelection()
	on := ""
	if at >= 1 && at <= len(s.shown) {
		on = s.shown[at-1]
	}
	s.table.Clear()
	for c, key := range roster.Columns {
		title := titles[key]
		if c == s.column {
			title += map[bool]string{false: " ^", true: " v"}[s.reverse]
		}
		s.table.SetCell(0, c, tview.NewTableCell(title).SetSelectable(false).SetAttributes(tcell.AttrBold).SetExpansion(expansion(key)).
			SetAlign(align(key)).SetTextColor(tcell.ColorDefault))
	}
	s.shown = s.shown[:0]
	for i, l := range lines {
		s.shown = append(s.shown, l.ID)
		for c, key := range roster.Columns {
			text := tview.Escape(l.cell(key, s.width))
			s.table.SetCell(i+1, c, tview.NewTableCell(text).SetTextColor(colors[l.State]).SetExpansion(expansion(key)).SetAlign(align(key)).
				SetMaxWidth(most(key, s.width)))
		}
		if l.ID == on {
			s.table.Select(i+1, 0)
		}
	}
	if len(lines) == 0 {
		s.table.SetCell(1, 0, tview.NewTableCell("nobody is here").SetSelectable(false).SetTextColor(tcell.ColorGray))
	}
}

// arrange is the rows to show, in their order.
func (s *screen) arrange(all []roster.Status) []line {
	var lines []line
	text := strings.ToLower(s.find.GetText())
	for _, t := range all {
		for _, v := range t.Receivers {
			l := line{Receiver: v}
			if len(all) > 1 {
				l.image = t.Name
			}
			if strings.Contains(strings.ToLower(strings.Join([]string{v.Name, v.Addr, v.Device, string(v.State), v.Reason, l.image}, " ")), text) {
				lines = append(lines, l)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		n := roster.Compare(roster.Columns[s.column], a.Receiver, b.Receiver)
		if s.reverse {
			n = -n
		}
		return cmp.Or(n, roster.Compare("name", a.Receiver, b.Receiver))
	})
	return lines
}

// What gives way on a narrow terminal, by its columns: addresses and bars first, then devices.
const (
	wide   = 100
	narrow = 70
)

// most is the width in columns that a cell is cut to, 0 for any.
func most(key string, width int) int {
	switch {
	case key != "state":
		return 0
	case width < wide:
		return max(14, width-50)
	}
	return max(14, width-86)
}

func (l line) cell(key string, width int) string {
	percent := progress.Percent(l.DoneBytes, l.TotalBytes)
	switch key {
	case "name":
		if l.Name != "" && width >= wide {
			return l.Name + " " + l.Addr
		}
		return l.Title()
	case "state":
		if l.Reason != "" {
			return string(l.State) + ": " + l.Reason
		}
		return string(l.State)
	case "done":
		if width < wide {
			return fmt.Sprintf("%3d%%", percent)
		}
		return fmt.Sprintf("%s %3d%%", bar(percent, 14), percent)
	case "rate":
		if l.Rate > 0 {
			return progress.Rate(l.Rate)
		}
	case "time":
		switch {
		case l.State == roster.Done:
			return "took " + progress.Elapsed(time.Duration(l.Seconds*float64(time.Second)))
		case l.ETA != nil:
			return progress.Duration(*l.ETA) + " left"
		}
	case "device":
		if width < narrow {
			return ""
		}
		if l.image != "" {
			return l.Device + " <- " + l.image
		}
		return l.Device
	}
	return ""
}

func expansion(key string) int {
	if key == "state" || key == "device" {
		return 1
	}
	return 0
}

func align(key string) int {
	if key == "rate" || key == "time" {
		return tview.AlignRight
	}
	return tview.AlignLeft
}
