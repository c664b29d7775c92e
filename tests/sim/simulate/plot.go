// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"fmt"
	"math"
)

// The drawing: the last receiver's time, over that of one alone, against the number of receivers.
const (
	width, height = 640, 400
	left, right   = 60, 20
	top, bottom   = 20, 50
	lowest        = 1.0
	highest       = 1.8
)

var colours = map[string]string{"flat": "#d12c2c", "racks": "#1f77b4", "plain": "#e08a1e", "limit": "#555"}

func draw(rows []row) []byte {
	var b bytes.Buffer
	most := 2
	for _, r := range rows {
		most = max(most, r.receivers)
	}
	x := func(n int) float64 {
		return left + (width-left-right)*math.Log(float64(n))/math.Log(float64(most))
	}
	y := func(v float64) float64 {
		return top + (height-top-bottom)*(highest-min(v, highest))/(highest-lowest)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Liberation Sans,Arial,Helvetica,sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for v := lowest; v < highest+0.01; v += 0.1 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.1f</text>`+"\n", left, y(v), width-right, left-8, y(v)+4, v)
	}
	for n := 1; n <= most; n *= 10 {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(n), top, height-bottom, x(n), height-bottom+18, n)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">receivers</text>`+"\n", (left+width-right)/2, height-12)
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">time of the last / of one alone</text>`+"\n", (top+height-bottom)/2)
	for k, kind := range []string{"plain", "racks", "flat", "limit"} {
		line := ""
		for _, r := range rows {
			v := r.alone
			if kind == "limit" && r.kind == "flat" {
				v = limit(r.receivers, r.pieces)
			} else if r.kind != kind {
				continue
			}
			line += fmt.Sprintf("%.1f,%.1f ", x(r.receivers), y(v))
		}
		if line == "" {
			continue
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", line, colours[kind])
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+12, top+16+16*k, colours[kind], legend[kind])
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

var legend = map[string]string{
	"plain": "plain rarest-first clients", "racks": "ours, racks of 32 behind a tenth of their links", "flat": "ours, one flat network", "limit": "limit of any schedule",
}
