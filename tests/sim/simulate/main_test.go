// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTableAndDrawing(t *testing.T) {
	dir := t.TempDir()
	svg, table := filepath.Join(dir, "a.svg"), filepath.Join(dir, "table.md")
	var out bytes.Buffer
	if err := run([]string{"-n", "1,3,40", "-pieces", "20", "-svg", svg}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| flat | 3 |", "| racks | 40 |", "| plain | 1 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no row %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "| racks | 3 |") {
		t.Error("three machines are no racks")
	}
	drawn, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the drawing: %v", err)
		}
	}
	if n := bytes.Count(drawn, []byte("<polyline")); n != 4 {
		t.Errorf("%d lines are drawn", n)
	}
	// The same again from the table.
	if err := os.WriteFile(table, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "b.svg")
	if err := run([]string{"-from", table, "-svg", again}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(again); !bytes.Equal(shapes(b), shapes(drawn)) {
		t.Errorf("drawn from the table:\n%s", b)
	}
}

// shapes is a drawing without its figures, which a table has rounded.
func shapes(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789.", r) {
			return -1
		}
		return r
	}, b)
}

func TestTroubles(t *testing.T) {
	var a, b bytes.Buffer
	for _, out := range []*bytes.Buffer{&a, &b} {
		if err := run([]string{"-faults", "3", "-first", "5"}, out); err != nil {
			t.Fatal(err)
		}
	}
	if a.String() != b.String() || !strings.HasPrefix(a.String(), "3 deployments") {
		t.Errorf("%q and %q", a.String(), b.String())
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"-n", "many"}, {"-n", "0"}, {"-from", "/nonexistent"}, {"-nonsense"}} {
		if run(args, io.Discard) == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
