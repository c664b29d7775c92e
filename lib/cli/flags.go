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
	cli.FlagStringer = func(f cli.Flag) string {
		o := describe(f)
		return o.synopsis() + "\t" + o.sentence()
	}
}

func commonFlags() []cli.Flag {
	verbosity := 0
	return append(priorityFlags(), []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no remarks, only errors"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "`MODE` of progress: auto, bar, plain, json or none"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Count: &verbosity, Usage: "tell what goes on; twice: every connection and announce"},
		&cli.StringFlag{Name: "completion", Usage: "print the completion script for `SHELL`: bash, zsh or fish"},
		&cli.BoolFlag{Name: "man", Usage: "print the manual page, for man -l -"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}...)
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
			name, _, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
			cluster := split(a, takesValue)
			out = append(out, cluster...)
			if len(cluster) > 1 {
				name = cluster[len(cluster)-1][1:]
			}
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

// split takes letters written together apart: -qv is -q -v, and -vv twice -v. known has the names
// of all flags, and whether they take a value; only the last of the letters may.
func split(a string, known map[string]bool) []string {
	letters := a[1:]
	if _, whole := known[letters]; whole || letters[0] == '-' || len(letters) < 2 {
		return []string{a}
	}
	var list []string
	for i, r := range letters {
		takesValue, ok := known[string(r)]
		if !ok || takesValue && i < len(letters)-1 {
			return []string{a}
		}
		list = append(list, "-"+string(r))
	}
	return list
}
