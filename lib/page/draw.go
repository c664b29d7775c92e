// SPDX-License-Identifier: GPL-2.0-or-later

package page

import (
	"fmt"
	"html/template"
	"strings"

	"ezio/lib/progress"
	"ezio/lib/roster"
)

// The graph's coordinates; the page stretches it to whatever width there is.
const (
	graphWidth  = 600
	graphHeight = 120
)

// A graph is throughput over time: paths in an SVG of graphWidth by graphHeight.
type graph struct {
	Down, DownArea, Up template.HTMLAttr
	Most               string // the rate at the upper edge
	Span               string // the time from edge to edge
	Words              string // for who cannot see it
}

func drawGraph(list []roster.Moment) graph {
	if len(list) < 2 {
		return graph{Words: "no throughput measured yet"}
	}
	most, first, last := 1.0, list[0].At, list[len(list)-1].At
	for _, m := range list {
		most = max(most, m.Down, m.Up)
	}
	line := func(of func(roster.Moment) float64) string {
		var b strings.Builder
		for i, m := range list {
			x := (m.At - first) / max(last-first, 1) * graphWidth
			y := graphHeight - of(m)/most*(graphHeight-4) - 1
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
		}
		return b.String()
	}
	down, up := line(func(m roster.Moment) float64 { return m.Down }), line(func(m roster.Moment) float64 { return m.Up })
	now := list[len(list)-1]
	return graph{
		Down:     attr(down),
		DownArea: attr(fmt.Sprintf("%sL%d %dL0 %dZ", down, graphWidth, graphHeight, graphHeight)),
		Up:       attr(up),
		Most:     progress.Rate(int64(most)),
		Span:     progress.Duration(int64(last - first)),
		Words: fmt.Sprintf("throughput over %s: now the receivers get %s and the seed sends %s; at most it was %s",
			progress.Duration(int64(last-first)), progress.Rate(int64(now.Down)), progress.Rate(int64(now.Up)), progress.Rate(int64(most))),
	}
}

// attr is a path of numbers and letters as an attribute: html/template would take it for CSS or worse.
func attr(path string) template.HTMLAttr { return template.HTMLAttr(`d="` + path + `"`) }

// A spread is how far the pieces are spread among the receivers.
type spread struct {
	Cells []cell
	Width int
	Words string
}

// A cell is one stretch of the image: Level 0 is with nobody, 5 with everybody.
type cell struct {
	X, Width, Level int
}

func drawSpread(t roster.Status) spread {
	s := spread{Width: max(1, len(t.Availability))}
	if t.Peers == 0 || len(t.Availability) == 0 {
		s.Words = "no receiver is connected"
		return s
	}
	out, all := 0, 0
	for i, n := range t.Availability {
		level := 0
		switch {
		case n >= t.Peers:
			level, all, out = 5, all+1, out+1
		case n > 0:
			level, out = 1+min(3, 4*n/t.Peers), out+1
		}
		if last := len(s.Cells) - 1; last >= 0 && s.Cells[last].Level == level {
			s.Cells[last].Width++
			continue
		}
		s.Cells = append(s.Cells, cell{i, 1, level})
	}
	n := len(t.Availability)
	s.Words = fmt.Sprintf("%d %% of the image has reached a receiver, %d %% has reached all %d that are connected; %s",
		100*out/n, 100*all/n, t.Peers, rarestWords(rarest(t.Availability)))
	return s
}

func rarestWords(n int) string {
	switch n {
	case 0:
		return "some pieces have not left the seed yet"
	case 1:
		return "the rarest piece is there once"
	}
	return fmt.Sprintf("the rarest piece is there %d times", n)
}
