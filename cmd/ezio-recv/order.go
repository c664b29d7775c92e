// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ezio/lib/cli"
	"ezio/lib/conf"
	"ezio/lib/fetch"
)

// An order is an image and where to put it.
type order struct {
	torrent string // file, "-" or URL
	target  string // device or image file
}

// findOrders reads what is to be done from the command line or from ezio.conf.
func findOrders(c *cli.Call) ([]order, error) {
	o := order{torrent: c.String("torrent"), target: c.String("target")}
	switch {
	case c.IsSet("config"):
		if o != (order{}) {
			return nil, cli.Usagef("--config says what to receive: -t and -d do not go with it")
		}
		return readConfig(c, c.String("config"))
	case o.target == "":
		return nil, cli.Usagef("no target: -d is missing").WithHint("%s --help", c.Tool)
	case o.torrent == "":
		return nil, cli.Usagef("no torrent: -t is missing").WithHint("%s --help", c.Tool)
	}
	return []order{o}, nil
}

// readConfig reads ezio.conf from a file, "-" or a URL.
func readConfig(c *cli.Call, arg string) ([]order, error) {
	if arg == "-" && cli.IsTerminal(c.Stdin) {
		return nil, cli.Usagef("--config -: standard input is a terminal")
	}
	text, err := c.Fetch(arg, conf.MaxSize)
	if err != nil {
		return nil, &cli.Error{Code: cli.Usage, Err: fmt.Errorf("--config: %w", err)}
	}
	pairs, err := conf.Parse(text)
	if err != nil {
		return nil, cli.Usagef("%s: %w", arg, err).WithHint("it needs lines such as TORRENT=http://SEED:6969/a.torrent and TARGET=/dev/sda1")
	}
	if len(pairs) > 1 && c.String("infohash") != "" {
		return nil, cli.Usagef("--infohash is of one torrent, and %s names %d", arg, len(pairs))
	}
	return makeOrders(arg, pairs)
}

// makeOrders refuses what cannot be meant.
func makeOrders(arg string, pairs []conf.Pair) ([]order, error) {
	var list []order
	for i, p := range pairs {
		if p.Torrent == "-" {
			return nil, cli.Usagef("%s: line %d: a torrent in ezio.conf is a file or a URL, not -", arg, p.Line)
		}
		for _, q := range pairs[:i] {
			if sameTarget(p.Target, q.Target) {
				return nil, cli.Usagef("%s: line %d: the target %s is that of line %d", arg, p.Line, p.Target, q.Line)
			}
		}
		list = append(list, order{torrent: fetch.Beside(arg, p.Torrent), target: p.Target})
	}
	return list, nil
}

// sameTarget says whether two names are of one device or file, be it one that does not exist yet.
func sameTarget(a, b string) bool {
	if place(a) == place(b) {
		return true
	}
	var x, y unix.Stat_t
	if unix.Stat(a, &x) != nil || unix.Stat(b, &y) != nil {
		return false
	}
	if x.Mode&unix.S_IFMT == unix.S_IFBLK && y.Mode&unix.S_IFMT == unix.S_IFBLK {
		return x.Rdev == y.Rdev
	}
	return x.Dev == y.Dev && x.Ino == y.Ino
}

// place is a path without symbolic links in its directory.
func place(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs
	}
	return filepath.Join(dir, filepath.Base(abs))
}
