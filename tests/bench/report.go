// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Report is one run of the benchmark.
type Report struct {
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Command string    `json:"command"`
	Results []Result  `json:"results"`

	Capture []CaptureResult `json:"capture,omitempty"`
}

// Result is one round. Times are seconds, sizes bytes; receivers that the round treats badly are
// not among those whose times and costs are given here.
type Result struct {
	Scenario    string `json:"scenario"`
	Variant     string `json:"variant,omitempty"`
	Contestant  string `json:"contestant"`
	Receivers   int    `json:"receivers"`
	Rate        Rate   `json:"rate_bits"` // 0: unlimited
	Bytes       int64  `json:"bytes"`
	PieceLength int64  `json:"piece_length"`

	First  float64 `json:"first_seconds"`
	Median float64 `json:"median_seconds"`
	Last   float64 `json:"last_seconds"`
	Ideal  float64 `json:"last_to_ideal,omitempty"` // to bytes/rate
	Lone   float64 `json:"last_to_lone,omitempty"`  // to a lone TCP stream in the same run
	Speed  float64 `json:"mib_per_second"`          // of the last

	Late     float64 `json:"late_seconds,omitempty"` // a late receiver's, from when it was started
	LateLone float64 `json:"late_to_lone,omitempty"`

	SeedSent     float64 `json:"seed_sent"`              // bytes on the seed's interface / image
	SeedCPU      float64 `json:"seed_cpu_per_gib"`       // seconds
	ReceiverCPU  float64 `json:"receiver_cpu_per_gib"`   // seconds, mean
	SeedRSS      int64   `json:"seed_rss"`               // peak
	SeedAnon     int64   `json:"seed_rss_anonymous"`     // peak without mapped files
	ReceiverRSS  int64   `json:"receiver_rss"`           // peak of the largest
	ReceiverAnon int64   `json:"receiver_rss_anonymous"` // peak of the largest without mapped files
	Busy         float64 `json:"machine_busy"`           // share of all cores, everything included

	Note  string `json:"note,omitempty"`
	Error string `json:"error,omitempty"`
}

func newResult(p Plan) Result {
	return Result{Scenario: p.Scenario, Variant: p.Variant, Contestant: p.Contestant.Name, Receivers: p.N,
		Rate: p.Rate, Bytes: p.Bytes, PieceLength: p.PieceLength}
}

// Title names the round.
func (r Result) Title() string {
	s := fmt.Sprintf("%s, %s to %d", r.Setting(), r.Contestant, r.Receivers)
	if r.Variant != "" {
		s += ", " + r.Variant
	}
	return s
}

// Setting is what the rounds of a block in the table share.
func (r Result) Setting() string {
	return fmt.Sprintf("%s: %v, %s in pieces of %s", r.Scenario, r.Rate, mebibytes(r.Bytes), mebibytes(r.PieceLength))
}

// Summary is a round's outcome in a line, for those who watch.
func (r Result) Summary() string {
	s := fmt.Sprintf("last after %.2f s", r.Last)
	if r.Ideal > 0 {
		s += fmt.Sprintf(", %.3f x bytes/rate", r.Ideal)
	}
	s += fmt.Sprintf(", %.1f MiB/s, machine %.0f %% busy", r.Speed, 100*r.Busy)
	if r.Note != "" {
		s += "; " + r.Note
	}
	return s
}

func mebibytes(n int64) string {
	if n%mib != 0 {
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	}
	return fmt.Sprintf("%d MiB", n/mib)
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

var columns = []string{"who", "N", "first", "median", "last", "/rate", "/lone", "MiB/s", "sent", "cpu seed", "cpu recv",
	"rss seed", "rss recv", "busy", ""}

// WriteTable writes the report for people: a Markdown table for each setting, aligned so that it
// reads as well in a terminal.
func (r Report) WriteTable(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s, %s\n%s\n", r.Date.Format(time.DateOnly), r.Machine, r.Command)
	for rest := r.Results; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Setting() == rest[0].Setting() {
			n++
		}
		fmt.Fprintf(&s, "\n%s\n\n", rest[0].Setting())
		rows := [][]string{columns}
		for _, res := range rest[:n] {
			rows = append(rows, res.row())
		}
		writeRows(&s, rows)
		rest = rest[n:]
	}
	if len(r.Results) > 0 {
		s.WriteString(legend)
	}
	writeCapture(&s, r.Capture)
	_, err := io.WriteString(w, s.String())
	return err
}

// writeRows aligns figures to the right and words, the first and last column, to the left.
func writeRows(s *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 2)
		}
	}
	words := func(i int) bool { return i == 0 || i == len(widths)-1 }
	for n, row := range rows {
		s.WriteString("|")
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if words(i) {
				fmt.Fprintf(s, " %s%s |", cell, pad)
			} else {
				fmt.Fprintf(s, " %s%s |", pad, cell)
			}
		}
		s.WriteString("\n")
		if n == 0 { // Markdown's line below the heading says the same
			s.WriteString("|")
			for i, width := range widths {
				if words(i) {
					s.WriteString(strings.Repeat("-", width+2) + "|")
				} else {
					s.WriteString(strings.Repeat("-", width+1) + ":|")
				}
			}
			s.WriteString("\n")
		}
	}
}

const legend = `
Times in seconds. /rate: last / (bytes / link rate); /lone: last / a lone TCP stream of this run.
sent: bytes on the seed's interface / image. cpu: seconds per GiB of image, a receiver's the mean.
rss: peak MiB, of the largest receiver; in brackets without mapped files. busy: of all cores.
`

func (r Result) row() []string {
	who := r.Contestant
	if r.Variant != "" {
		who += " (" + r.Variant + ")"
	}
	cells := []string{who, fmt.Sprint(r.Receivers)}
	if r.Error != "" {
		for len(cells) < len(columns)-1 {
			cells = append(cells, "-")
		}
		first, _, _ := strings.Cut(r.Error, "\n")
		return append(cells, "FAILED: "+first)
	}
	return append(cells,
		fmt.Sprintf("%.2f", r.First), fmt.Sprintf("%.2f", r.Median), fmt.Sprintf("%.2f", r.Last),
		ratio(r.Ideal), ratio(r.Lone), fmt.Sprintf("%.1f", r.Speed), ratio(r.SeedSent),
		fmt.Sprintf("%.2f", r.SeedCPU), fmt.Sprintf("%.2f", r.ReceiverCPU),
		memory(r.SeedRSS, r.SeedAnon), memory(r.ReceiverRSS, r.ReceiverAnon),
		fmt.Sprintf("%.0f %%", 100*r.Busy), r.remark())
}

func (r Result) remark() string {
	if r.LateLone > 0 {
		return fmt.Sprintf("%s (%.2f x lone)", r.Note, r.LateLone)
	}
	return r.Note
}

func ratio(x float64) string {
	if x == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}

func memory(rss, anon int64) string { return fmt.Sprintf("%d (%d)", rss/mib, anon/mib) }
