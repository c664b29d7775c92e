// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	panelWidth  = 5 * vg.Inch
	panelHeight = 3.2 * vg.Inch
)

// Each contestant keeps its colour over all panels.
var colours = map[string]color.Color{
	"ezio":       color.RGBA{R: 0xd1, G: 0x2c, B: 0x2c, A: 0xff},
	"libtorrent": color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff},
	"udpcast":    color.RGBA{R: 0x2c, G: 0x9a, B: 0x4b, A: 0xff},
	"anacrolix":  color.RGBA{R: 0xe0, G: 0x8a, B: 0x1e, A: 0xff},
	"bare":       color.RGBA{R: 0x55, G: 0x55, B: 0x55, A: 0xff},
	"lone":       color.RGBA{R: 0xaa, G: 0xaa, B: 0xaa, A: 0xff},
}

// WriteSVG draws a panel for each setting: the last receiver's time against the number of
// receivers where links are limited, the speed of one where they are not. Rounds in which
// something goes wrong are for the table.
func (r Report) WriteSVG(w io.Writer) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	var panels []*plot.Plot
	for _, group := range r.panels() {
		panel := swarmPanel
		if group[0].Rate == 0 {
			panel = speedPanel
		}
		p, err := panel(group)
		if err != nil {
			return fmt.Errorf("draw %s: %w", group[0].Setting(), err)
		}
		panels = append(panels, p)
	}
	cols := min(2, max(1, len(panels)))
	rows := max(1, (len(panels)+cols-1)/cols)
	c := vgsvg.New(vg.Length(cols)*panelWidth, vg.Length(rows)*panelHeight)
	c.SetColor(color.White) // on a dark page, too
	c.Fill(draw.New(c).Rectangle.Path())
	tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: 8, PadY: 8, PadTop: 8, PadBottom: 8, PadLeft: 8, PadRight: 8}
	for i, p := range panels {
		p.Draw(tiles.At(draw.New(c), i%cols, i/cols))
	}
	var svg bytes.Buffer
	if _, err := c.WriteTo(&svg); err != nil {
		return err
	}
	// For viewers without that font, the ones with the same measures.
	_, err := w.Write(bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return err
}

// panels groups the results worth drawing by their setting, in order.
func (r Report) panels() [][]Result {
	var groups [][]Result
	index := map[string]int{}
	for _, res := range r.Results {
		if res.Error != "" || isTrouble(res) || (res.Rate > 0 && res.Contestant == "lone") {
			continue
		}
		i, ok := index[res.Setting()]
		if !ok {
			i = len(groups)
			index[res.Setting()] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], res)
	}
	return groups
}

func isTrouble(r Result) bool { return r.Variant != "" || r.Note != "" }

func newPanel(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = 6
	p.Y.Min = 0
	return p
}

// swarmPanel draws the last receiver's time, in that of a lone stream, over the receivers' number.
func swarmPanel(group []Result) (*plot.Plot, error) {
	yLabel := "last receiver / lone TCP stream"
	height := func(r Result) float64 { return r.Lone }
	if slices.ContainsFunc(group, func(r Result) bool { return r.Lone == 0 }) {
		yLabel = "last receiver / (bytes / link rate)"
		height = func(r Result) float64 { return r.Ideal }
	}
	p := newPanel(group[0].Setting(), "receivers", yLabel)
	counts := receiverCounts(group)
	names := make([]string, len(counts))
	for i, n := range counts {
		names[i] = strconv.Itoa(n)
	}
	one := plotter.NewFunction(func(float64) float64 { return 1 })
	one.LineStyle.Color = color.Gray{Y: 0xbb}
	one.Dashes = []vg.Length{3, 3}
	p.Add(one)
	for _, c := range contestants {
		var xys plotter.XYs
		for _, r := range group {
			if r.Contestant == c.Name {
				xys = append(xys, plotter.XY{X: float64(slices.Index(counts, r.Receivers)), Y: height(r)})
				p.Y.Max = max(p.Y.Max, height(r)*1.1)
			}
		}
		if len(xys) == 0 {
			continue
		}
		line, points, err := plotter.NewLinePoints(xys)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colours[c.Name], 2
		points.Color, points.Shape, points.Radius = colours[c.Name], draw.CircleGlyph{}, 3
		p.Add(line, points)
		p.Legend.Add(c.Name, line, points)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.3, float64(len(counts))-0.7
	p.Legend.Top, p.Legend.Left = true, true
	return p, nil
}

func receiverCounts(group []Result) []int {
	var counts []int
	for _, r := range group {
		counts = append(counts, r.Receivers)
	}
	slices.Sort(counts)
	return slices.Compact(counts)
}

// speedPanel draws a bar for each contestant.
func speedPanel(group []Result) (*plot.Plot, error) {
	p := newPanel(group[0].Setting(), "", "MiB/s")
	names := make([]string, len(group))
	for i, r := range group {
		names[i] = r.Contestant
		bar, err := plotter.NewBarChart(plotter.Values{r.Speed}, 36)
		if err != nil {
			return nil, err
		}
		bar.XMin = float64(i)
		bar.Color = colours[r.Contestant]
		bar.LineStyle.Width = 0
		p.Add(bar)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(group))-0.5
	return p, nil
}
