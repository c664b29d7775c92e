// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen is what a terminal of some width shows after these bytes: rows, without blanks at their
// ends. It knows carriage return, newline and wrapping, which is all that a bar may use.
func screen(t *testing.T, width int, out string) string {
	t.Helper()
	rows, x := [][]rune{nil}, 0
	for _, c := range out {
		y := len(rows) - 1
		switch {
		case c == '\r':
			x = 0
		case c == '\n':
			rows, x = append(rows, nil), 0
		case c < ' ':
			t.Fatalf("control character %q in %q", c, out)
		default:
			if x == width {
				rows, x, y = append(rows, nil), 0, y+1
			}
			for len(rows[y]) <= x {
				rows[y] = append(rows[y], ' ')
			}
			rows[y][x] = c
			x++
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = strings.TrimRight(string(row), " ")
	}
	return strings.Join(lines, "\n")
}

func TestBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr writes
		r := New(Config{Mode: Bar, Tool: "ezio-recv", Stderr: &stderr})
		j := &job{s: Sample{Total: 250 * mib, Peers: 12}}
		r.Start("receiving", j.sample, nil)
		compare(t, screen(t, 80, stderr.String())+"\n",
			"receiving   0% [                                   ] 0.0 of 250.0 MiB, 12 peers")
		j.receive(10, 11*mib)
		r.Printf("a note")
		r.Banned("10.0.0.3:6881", "bad piece")
		compare(t, screen(t, 80, stderr.String())+"\n",
			"ezio-recv: a note",
			"ezio-recv: banned 10.0.0.3:6881: bad piece",
			"receiving  44% [====>      ] 11.0 MiB/s down, 5.5 MiB/s up, 12 peers, 13 s left")
		j.set(Sample{Done: 250 * mib, Total: 250 * mib, Down: 250 * mib, Up: 56 * mib, Peers: 1})
		r.Done(nil)
		r.Printf("done")
		if got := screen(t, 80, stderr.String()); !strings.HasSuffix(got, "\nezio-recv: done\n") {
			t.Errorf("after the phase:\n%s", got)
		}
		r.Start("uploading", func() Sample { return Sample{Peers: 3} }, nil)
		r.Error(errors.New("oops"), "")
		fmt.Fprintln(&stderr, "ezio-recv: oops")
		compare(t, screen(t, 80, stderr.String()),
			"ezio-recv: a note",
			"ezio-recv: banned 10.0.0.3:6881: bad piece",
			"receiving 100% [===============] in 10 s, 25.0 MiB/s down, 5.6 MiB/s up, 1 peer",
			"ezio-recv: done",
			"uploading in 0.0 s, 3 peers",
			"ezio-recv: oops")
	})
}

// Whatever the width, the line does not wrap and what matters most is what remains.
func TestBarWidths(t *testing.T) {
	f := figures{
		Sample:   Sample{Done: 99 << 30, Total: 250 << 30, Peers: 12},
		phase:    "receiving\x1b\n",
		now:      rates{down: 112 * mib, up: 110.5 * mib},
		eta:      200,
		downSeen: true, upSeen: true, peersSeen: true,
	}
	for _, c := range []struct {
		width int
		want  string
	}{
		{120, "receiving\ufffd   39% [========>             ] 99.0 of 250.0 GiB, 112.0 MiB/s down, 110.5 MiB/s up, 12 peers, 3 min 20 s left"},
		{79, "receiving\ufffd   39% [======>         ] 112.0 MiB/s down, 12 peers, 3 min 20 s left"},
		{60, "receiving\ufffd   39% [=========>               ] 3 min 20 s left"},
		{40, "receiving\ufffd   39% [=======>            ]"},
		{20, "receiving\ufffd   39% []"},
		{10, "receiving\ufffd"},
		{1, "r"},
	} {
		if got := layout(f, false, c.width); got != c.want {
			t.Errorf("width %d: got %q, want %q", c.width, got, c.want)
		}
	}
	for width := range 200 {
		f.Total = 250 << 30 * int64(width%2)
		for _, last := range []bool{false, true} {
			if got := layout(f, last, width); utf8.RuneCountInString(got) > width {
				t.Errorf("width %d: %q", width, got)
			}
		}
	}
}

// A window made narrower has a line too long to blank; the blanks must not wrap on top of that.
func TestBlanksDoNotWrap(t *testing.T) {
	b := bar{line: strings.Repeat("=", 100)}
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 20, "\rabc" + strings.Repeat(" ", 17)},
		{"abc", 120, "\rabc" + strings.Repeat(" ", 97)},
		{strings.Repeat("a", 130), 120, "\r" + strings.Repeat("a", 130)},
	} {
		if got := b.over(c.text, c.width); got != c.want {
			t.Errorf("%q over 100 columns in %d: %q", c.text, c.width, got)
		}
	}
}

// openTerminal makes a pseudo-terminal: what is written to the terminal comes out of out.
func openTerminal(t *testing.T) (tty, out *os.File) {
	t.Helper()
	out, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("this test needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { out.Close() })
	if err := unix.IoctlSetPointerInt(int(out.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the pseudo-terminal: %v", err)
	}
	n, err := unix.IoctlGetUint32(int(out.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("number of the pseudo-terminal: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open the pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty, out
}

func resize(t *testing.T, tty *os.File, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatalf("set the width to %d: %v", columns, err)
	}
}

// On a real terminal Auto is a bar, as wide as the terminal is at the moment.
func TestAutoOnTerminal(t *testing.T) {
	tty, out := openTerminal(t)
	resize(t, tty, 100)
	shown := make(chan string)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, out) // ends with EIO when the terminal is closed
		shown <- b.String()
	}()
	r := New(Config{Mode: Auto, Tool: "ezio-recv", Stderr: tty})
	s := Sample{Done: 25 * mib, Total: 250 * mib, Waiting: "peers"}
	r.Start("receiving", func() Sample { return s }, nil)
	r.Stop()
	resize(t, tty, 0) // as a serial console
	r.Start("receiving", func() Sample { return s }, nil)
	r.Printf("a note\nof two lines")
	r.Stop()
	resize(t, tty, 70)
	r.Start("receiving", func() Sample { return s }, nil)
	r.Exit(1)
	fmt.Fprintln(tty, "ezio-recv: oops")
	tty.Close()

	bar := func(columns int) string { // a tenth of it filled
		head, tail := "receiving  10% [", "] 25.0 of 250.0 MiB, in 0.0 s, 0 peers"
		room := columns - len(head) - len(tail)
		filled := (room + 9) / 10
		return head + strings.Repeat("=", filled-1) + ">" + strings.Repeat(" ", room-filled) + tail
	}
	compare(t, ageless(screen(t, 100, <-shown)),
		bar(99),
		"ezio-recv: a note",
		"of two lines",
		bar(79),
		bar(69),
		"ezio-recv: oops")
}

// ageless hides a phase's duration on a slow machine; it stays one digit wide.
func ageless(s string) string {
	for d := 100 * time.Millisecond; d < 10*time.Second; d += 100 * time.Millisecond {
		s = strings.ReplaceAll(s, "in "+elapsed(d), "in 0.0 s")
	}
	return s
}
