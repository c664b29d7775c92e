// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
	"time"
	"unicode"
)

// plainInterval is the time between two plain lines of a phase, its last one aside.
const plainInterval = 10 * time.Second

// plain writes lines for a log.
type plain struct {
	tool    string
	stderr  io.Writer
	written time.Time // of the phase's last line; zero before its first
}

// update writes a line when it is due. The first moment of a phase has nothing to tell yet and
// many phases are over at once, so the first line comes with the second look. Looks are a second apart
// give or take what the machine is late: the one that comes a moment short of the interval counts, or
// there would be eleven seconds between two lines.
func (p *plain) update(f figures) {
	if f.elapsed == 0 || !p.written.IsZero() && f.at.Sub(p.written).Round(lineInterval) < plainInterval {
		return
	}
	p.written = f.at
	p.note(prefix(p.tool, sentence(f, false)))
}

func (p *plain) finish(f figures) {
	p.written = time.Time{}
	p.note(prefix(p.tool, sentence(f, true)))
}

func (p *plain) note(line string) { io.WriteString(p.stderr, line+"\n") }

// prefix puts the tool's name before a line.
func prefix(tool, line string) string {
	if tool == "" {
		return line
	}
	return tool + ": " + line
}

// sentence words figures in full. The last one of a phase has its duration and averages in place
// of an estimate and the rates of the moment.
func sentence(f figures, last bool) string {
	var b strings.Builder
	b.WriteString(printable(f.phase))
	switch {
	case f.Total > 0:
		fmt.Fprintf(&b, " %d%% (%s)", percent(f.Done, f.Total), ofTotal(f.Done, f.Total))
	case f.Done > 0:
		b.WriteString(" " + size(float64(f.Done)))
	}
	if last {
		b.WriteString(" in " + elapsed(f.elapsed))
	}
	for _, p := range parts(f, last) {
		b.WriteString(", " + p.text)
	}
	return b.String()
}

// A part is one figure in words, with what it is worth when there is no room for all.
type part struct {
	text string
	rank int // parts of the lowest rank are left out first
}

// parts words the rates, the peers and the time left, as far as they apply to the phase.
func parts(f figures, last bool) []part {
	var list []part
	r := f.now
	if last {
		r = f.mean
	}
	if f.downSeen {
		list = append(list, part{size(r.down) + "/s down", 4})
	}
	if f.upSeen {
		list = append(list, part{size(r.up) + "/s up", 2})
	}
	if !f.peersSeen && (f.Total > 0 || f.Done > 0) {
		list = append(list, part{size(r.done) + "/s", 4})
	}
	switch {
	case f.peersSeen && f.Peers == 1:
		list = append(list, part{"1 peer", 3})
	case f.peersSeen:
		list = append(list, part{fmt.Sprintf("%d peers", f.Peers), 3})
	}
	switch {
	case last:
	case f.Waiting != "":
		list = append(list, part{"waiting for " + printable(f.Waiting), 5})
	case f.eta > 0:
		list = append(list, part{duration(f.eta) + " left", 5})
	}
	return list
}

// percent is rounded down, so that 100% is never said too early.
func percent(done, total int64) int {
	if done >= total {
		return 100
	}
	hi, lo := bits.Mul64(uint64(max(done, 0)), 100) // may not fit 64 bits
	whole, _ := bits.Div64(hi, lo, uint64(total))
	return int(whole)
}

var units = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// unitOf finds the unit in which n, to one decimal, is below 1024.
func unitOf(n float64) (name string, bytes float64) {
	bytes = 1
	for _, name = range units {
		if n/bytes < 1023.95 {
			return name, bytes
		}
		bytes *= 1024
	}
	return name, bytes / 1024
}

// amount prints n bytes as a number of units; bytes themselves have no decimals.
func amount(n, unit float64) string {
	if unit == 1 {
		return fmt.Sprintf("%.0f", math.Floor(n))
	}
	return fmt.Sprintf("%.1f", n/unit)
}

// size prints n bytes, as in "11.2 MiB".
func size(n float64) string {
	name, unit := unitOf(n)
	return amount(n, unit) + " " + name
}

// ofTotal prints both in the total's unit, as in "93.1 of 250.0 MiB".
func ofTotal(done, total int64) string {
	name, unit := unitOf(float64(total))
	return amount(float64(done), unit) + " of " + amount(float64(total), unit) + " " + name
}

// duration prints seconds in at most two units, as in "3 min 20 s".
func duration(s int64) string {
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	case s < 100*3600:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d days", s/86400)
}

// elapsed prints a time that has passed; a short one deserves a decimal.
func elapsed(d time.Duration) string {
	if d < 9950*time.Millisecond {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return duration(int64(d.Round(time.Second) / time.Second))
}

// printable takes the sting out of text that may come from a peer or a torrent: control
// characters could move the cursor or rewrite what stands above.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
