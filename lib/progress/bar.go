// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"
)

const (
	fallbackWidth = 80 // a serial console may say it is 0 columns wide
	leastBar      = 10 // columns, brackets included; figures give way to it
)

// barLine leaves the bar the room the words do not take. The bar's parts are ASCII, as a rescue
// system's console has no fonts to speak of.
const barLine pb.ProgressBarTemplate = `{{string . "head"}} {{bar . "[" "=" ">" " " "]"}} {{string . "tail"}}`

// bar draws one line that is rewritten in place: carriage return, the new line, and blanks over
// what remains of the old one, which even a dumb terminal understands. Package pb lays the line
// out; when and where it is written is decided here, since pb would ask the controlling terminal
// for its width, not stderr, and knows no lines in between.
type bar struct {
	stderr io.Writer
	line   string // on the terminal now, the cursor behind it; "" for none
}

func newBar(stderr io.Writer) *bar { return &bar{stderr: stderr} }

func (b *bar) update(f figures) {
	width := b.width()
	line := layout(f, false, width)
	io.WriteString(b.stderr, b.over(line, width))
	b.line = line
}

// finish leaves the phase's last state above the cursor.
func (b *bar) finish(f figures) {
	b.end(layout(f, true, b.width()))
}

func (b *bar) note(text string) {
	first, rest, more := strings.Cut(text, "\n")
	text = b.over(first, b.width())
	if more {
		text += "\n" + rest
	}
	io.WriteString(b.stderr, text+"\n"+b.line)
}

// end puts a whole line in the place of the bar.
func (b *bar) end(text string) {
	io.WriteString(b.stderr, b.over(text, b.width())+"\n")
	b.line = ""
}

// over is what puts text in the place of the line on the terminal. It blanks no further than the
// terminal is wide, for the blanks must not wrap.
func (b *bar) over(text string, width int) string {
	if b.line == "" {
		return text
	}
	rest := min(pb.CellCount(b.line), width) - pb.CellCount(text)
	return "\r" + text + strings.Repeat(" ", max(rest, 0))
}

// width is asked for each time, as windows change. The last column stays free: a cursor that
// waits behind it is where terminals disagree.
func (b *bar) width() int {
	if f, ok := b.stderr.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return max(w-1, 1)
		}
	}
	return fallbackWidth - 1
}

// layout puts figures into a line of at most width columns.
func layout(f figures, last bool, width int) string {
	if f.Total <= 0 {
		return cut(sentence(f, last), width)
	}
	head := fmt.Sprintf("%s %3d%%", oneLine(f.phase), percent(f.Done, f.Total))
	list := []part{{ofTotal(f.Done, f.Total), 1}}
	if last {
		list = append(list, part{"in " + elapsed(f.elapsed), 5})
	}
	list = fit(append(list, parts(f, last)...), width-pb.CellCount(head)-2-leastBar)
	p := barLine.New(0).SetWriter(io.Discard).SetWidth(width)
	p.SetTotal(f.Total).SetCurrent(min(max(f.Done, 0), f.Total))
	p.Set("head", head).Set("tail", words(list))
	if last {
		p.Finish()
	}
	return cut(p.String(), width)
}

// fit leaves out parts, the least important first, until the rest is at most room columns wide.
func fit(list []part, room int) []part {
	for len(list) > 0 && pb.CellCount(words(list)) > room {
		least := 0
		for i, p := range list {
			if p.rank < list[least].rank {
				least = i
			}
		}
		list = slices.Delete(list, least, least+1)
	}
	return list
}

func words(list []part) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.text
	}
	return oneLine(strings.Join(texts, ", "))
}

// cut makes a line that cannot wrap, and so can be erased.
func cut(line string, width int) string {
	return strings.TrimRight(pb.StripString(oneLine(line), width), " ")
}

// oneLine keeps text that is redrawn in place from moving the cursor elsewhere.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(printable(s))
}
