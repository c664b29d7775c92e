// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"ezio/lib/disk"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"4096": 4096, "16MiB": 16 << 20, "4M": 4 << 20, "1k": 1 << 10, "2G": 2 << 30, "1MB": 1e6,
		"": -1, "x": -1, "-1": -1, "M": -1, "99999999999999999999": -1,
	} {
		var s Size
		err := s.Set(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || int64(s) != want) {
			t.Errorf("%q: %d, %v; want %d", text, s, err, want)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]int64{
		"20M": 20 << 20, "20MB": 20e6, "20MiB/s": 20 << 20, "100Mbit": 12_500_000, "1 Gbit/s": 125_000_000,
		"2.5gbit": 312_500_000, "65536": 65536, "0": 0,
		"": -1, "x": -1, "-1": -1, "Mbit": -1, "64000": -1, "100bit": -1, "1e30gbit": -1, "10Mbps": -1,
	} {
		var r Rate
		err := r.Set(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || int64(r) != want) {
			t.Errorf("%q: %d, %v; want %d", text, r, err, want)
		}
	}
}

func TestCodeHasOnePlace(t *testing.T) {
	refused := fmt.Errorf("wrapped: %w", &disk.RefusedError{Path: "/dev/x", Reason: "it is mounted", Hint: "umount"})
	for _, c := range []struct {
		err  error
		code int
		hint string
	}{
		{nil, OK, ""},
		{errors.New("x"), Failed, ""},
		{Usagef("x").WithHint("y %d", 1), Usage, "y 1"},
		{fmt.Errorf("more: %w", Refusef("x")), Refused, ""},
		{refused, Refused, "umount"},
		{context.Canceled, Interrupted, ""},
		{&Error{Code: Mismatch, Err: errors.New("x")}, Mismatch, ""},
	} {
		if got := Code(c.err); got != c.code || Hint(c.err) != c.hint {
			t.Errorf("%v: code %d, hint %q", c.err, got, Hint(c.err))
		}
	}
}

func TestReportIsOneLine(t *testing.T) {
	var b bytes.Buffer
	Report(&b, "ezio-x", Failf("bad\x1b[2J\nname").WithHint("try\nagain"))
	if got, want := b.String(), "ezio-x: bad [2J name\nhint: try again\n"; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	flags := []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}}, &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}}, &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}}}
	for in, want := range map[string]string{
		"x t/ -o a":          "x -o a -- t/",
		"x -q t/ --output=a": "x -q --output=a -- t/",
		"x -o -":             "x -o -",
		"x - -q":             "x -q -- -",
		"x -- -o a":          "x -- -o a",
		"x":                  "x",
		"x -qv t/":           "x -q -v -- t/",
		"x -vvo a t/":        "x -v -v -o a -- t/",
		"x -ov a":            "x -ov -- a", // an error, but not ours to guess at
		"x -output a t/":     "x -output a -- t/",
	} {
		if got := strings.Join(flagsFirst(flags, strings.Fields(in)), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestToolRefusesWhatItDoesNotKnow(t *testing.T) {
	tool := Tool{Name: "ezio-x", MaxArgs: 1, Action: func(*Call) error { return nil }}
	for line, code := range map[string]int{"ezio-x a": OK, "ezio-x a b": Usage, "ezio-x --nope": Usage, "ezio-x --version": OK,
		"ezio-x -q -v": Usage, "ezio-x --nice 20": Usage, "ezio-x --nice 19": OK, "ezio-x --ionice idle:1": Usage, "ezio-x --ionice best-effort:8": Usage} {
		var out, errs bytes.Buffer
		if err := tool.Run(context.Background(), strings.Fields(line), nil, &out, &errs); Code(err) != code {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestWrongUsageIsSaidPlainly(t *testing.T) {
	tool := Tool{Name: "ezio-x", Action: func(*Call) error { return nil }, Flags: []cli.Flag{
		&cli.IntFlag{Name: "count", Aliases: []string{"n"}}, &cli.DurationFlag{Name: "idle"}, SizeFlag("size", ""), RateFlag("rate", ""),
	}}
	for line, want := range map[string]string{
		"--nope":      "unknown option --nope",
		"-Z":          "unknown option -Z",
		"--nope=x":    "unknown option --nope",
		"--count":     "--count needs a value",
		"-n x":        `-n: "x" is not a whole number`,
		"--idle 5":    `--idle: "5" is not a time such as 90s, 15m or 2h`,
		"--size x":    `--size: "x" is not a size such as 4096, 4M or 16MiB`,
		"--rate 5":    `--rate: "5" is less than 64 KiB a second`,
		"--quiet=lie": `--quiet: "lie" is not a value for it: it takes none`,
		"-vvq":        "--quiet and --verbose exclude each other",
	} {
		var out, errs bytes.Buffer
		err := tool.Run(context.Background(), append([]string{"ezio-x"}, strings.Fields(line)...), nil, &out, &errs)
		if Code(err) != Usage || err.Error() != want || out.Len()+errs.Len() > 0 {
			t.Errorf("%q: %v, want %s; printed %q %q", line, err, want, out.String(), errs.String())
		}
	}
}

func TestWriteFileIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.torrent")
	for _, text := range []string{"first", "second"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if err := WriteFile(dir, nil); Code(err) != Usage {
		t.Errorf("a directory: %v", err)
	}
	if err := WriteFile("/dev/full", []byte("x")); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full device: %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "absent", "a"), nil); err == nil {
		t.Error("a directory that does not exist is accepted")
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, "torrent") }) {
		t.Errorf("left behind: %v", left)
	}
}
