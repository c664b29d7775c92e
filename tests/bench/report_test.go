// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func sample() Report {
	swarm := Result{Scenario: "links", Contestant: "ezio", Receivers: 2, Rate: 100 * mbit, Bytes: 272 * mib, PieceLength: mib,
		First: 23.5, Median: 23.75, Last: 24, Ideal: 1.0512, Lone: 1.004, Speed: 11.333,
		SeedSent: 1.02, SeedCPU: 0.5, ReceiverCPU: 1.25, SeedRSS: 40 * mib, SeedAnon: 20 * mib, ReceiverRSS: 60 * mib,
		ReceiverAnon: 50 * mib, Busy: 0.25}
	more := swarm
	more.Receivers, more.Last, more.Lone = 8, 25, 1.05
	other := more
	other.Contestant, other.Lone = "udpcast", 1.09
	failed := swarm
	failed.Contestant, failed.Error = "libtorrent", "receiver 1 of 2: gone\nlast words"
	late := swarm
	late.Scenario, late.Note, late.LateLone = "late", "joined after 11.4 s", 0.98
	fast := Result{Scenario: "unlimited", Contestant: "bare", Receivers: 1, Bytes: 2 * gib, PieceLength: mib,
		First: 3, Median: 3, Last: 3, Speed: 682.7}
	return Report{Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Machine: "a machine", Command: "bench -quick",
		Results: []Result{swarm, more, other, failed, late, fast}}
}

func TestTable(t *testing.T) {
	var got bytes.Buffer
	if err := sample().WriteTable(&got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-01-02, a machine\nbench -quick\n",
		"\nlinks: 100 Mbit/s, 272 MiB in pieces of 1 MiB\n",
		"\nunlimited: no limit, 2048 MiB in pieces of 1 MiB\n",
		"| ezio       |  2 | ", // the widest name is libtorrent
		"23.50 |  23.75 | 24.00 |  1.05 |  1.00 |  11.3 | 1.02 |     0.50 |     1.25 |  40 (20) |  60 (50) | 25 % |",
		"FAILED: receiver 1 of 2: gone |",
		"| joined after 11.4 s (0.98 x lone) |",
		" | 3.00 |     - |     - | 682.7 |",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %q in\n%s", want, got.String())
		}
	}
	if strings.Contains(got.String(), "last words") {
		t.Error("a row spans lines")
	}
}

// Every line of a table must have bars at the same places, or neither people nor Markdown can
// read it.
func TestTableAligned(t *testing.T) {
	var got bytes.Buffer
	if err := sample().WriteTable(&got); err != nil {
		t.Fatal(err)
	}
	bars := func(line string) (at []int) {
		for i, r := range []rune(line) {
			if r == '|' {
				at = append(at, i)
			}
		}
		return at
	}
	var above []int
	for _, line := range strings.Split(got.String(), "\n") {
		if !strings.HasPrefix(line, "|") {
			above = nil
			continue
		}
		at := bars(line)
		if len(at) != len(columns)+1 {
			t.Errorf("%d bars in %q", len(at), line)
		}
		if above != nil && at[len(at)-1] != above[len(above)-1] {
			t.Errorf("not aligned: %q", line)
		}
		above = at
	}
}

func TestJSON(t *testing.T) {
	var got bytes.Buffer
	if err := sample().WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(got.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Results) != 6 || back.Results[0] != sample().Results[0] {
		t.Errorf("came back as %+v", back)
	}
}

func TestSVG(t *testing.T) {
	var got bytes.Buffer
	if err := sample().WriteSVG(&got); err != nil {
		t.Fatal(err)
	}
	texts := svgTexts(t, got.Bytes())
	for _, want := range []string{"links: 100 Mbit/s, 272 MiB in pieces of 1 MiB", "ezio", "udpcast", "bare", "8", "receivers", "MiB/s"} {
		if !texts[want] {
			t.Errorf("no text %q in the drawing", want)
		}
	}
	if texts["libtorrent"] {
		t.Error("a failed round is drawn")
	}
	if bytes.Contains(got.Bytes(), []byte("font-family:Liberation Sans;")) || !bytes.Contains(got.Bytes(), []byte(",sans-serif;")) {
		t.Error("texts are in a font that viewers lack")
	}
}

func TestSVGOfNothing(t *testing.T) {
	var got bytes.Buffer
	if err := (Report{}).WriteSVG(&got); err != nil {
		t.Fatal(err)
	}
	svgTexts(t, got.Bytes())
}

// svgTexts parses a drawing and returns the texts in it.
func svgTexts(t *testing.T, data []byte) map[string]bool {
	t.Helper()
	texts := map[string]bool{}
	in := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if chars, ok := token.(xml.CharData); ok {
			texts[strings.TrimSpace(string(chars))] = true
		}
	}
}

func TestFailures(t *testing.T) {
	if err := failures(sample().Results); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("failures: %v", err)
	}
	if err := failures(sample().Results[:3]); err != nil {
		t.Errorf("failures of good rounds: %v", err)
	}
}
