// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
)

func init() {
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this help"}
}

func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no remarks, only errors"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "`MODE` of progress: auto, bar, plain, json or none"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}
}

// A Size is a number of bytes on the command line: 4096, 4M or 16MiB. K, M, G and T alone are
// powers of 1024, as with dd and partclone; kB, MB and GB are powers of 1000.
type Size int64

// Set parses a size; String is its counterpart. Together they make a flag.
func (s *Size) Set(text string) error {
	t := strings.TrimSpace(text)
	if n := len(t); n > 1 && strings.ContainsRune("kKmMgGtT", rune(t[n-1])) {
		t += "iB"
	}
	v, err := humanize.ParseBytes(t)
	if err != nil || v > math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 4096, 4M or 16MiB", text)
	}
	*s = Size(v)
	return nil
}

func (s *Size) String() string {
	if *s == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*s))
}

// SizeFlag is a flag that takes a Size; read it with SizeOf.
func SizeFlag(name, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: new(Size), Usage: usage}
}

// SizeOf is the value of a SizeFlag in bytes, 0 when it was not given.
func (c *Call) SizeOf(name string) int64 {
	if s, ok := c.Generic(name).(*Size); ok && s != nil {
		return int64(*s)
	}
	return 0
}

// flagsFirst moves flags before positional arguments, so that `ezio-mktorrent t/ -o a.torrent`
// means what it says: the flag library stops at the first argument that is no flag. What follows
// `--` stays as it is.
func flagsFirst(flags []cli.Flag, args []string) []string {
	if len(args) == 0 {
		return args
	}
	takesValue := map[string]bool{}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			takesValue[name] = !isBool
		}
	}
	out, rest := []string{args[0]}, []string(nil)
	for i := 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return slices.Concat(out, []string{"--"}, rest, args[i+1:])
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
		default:
			out = append(out, a)
			name, _, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
			if takesValue[name] && !joined && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		}
	}
	if len(rest) == 0 {
		return out
	}
	return slices.Concat(out, []string{"--"}, rest)
}
