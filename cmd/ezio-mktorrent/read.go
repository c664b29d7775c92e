// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ezio/lib/btinfo"
	"ezio/lib/cli"
	"ezio/lib/upstream"
)

// read finds torrent.info where the command line says it is.
func read(c *cli.Call) (*btinfo.Info, error) {
	if c.NArg() == 1 {
		return readFile(c.Args().First())
	}
	if cli.IsTerminal(c.Stdin) {
		return nil, cli.Usagef("no torrent.info: standard input is a terminal").WithHint("ezio-mktorrent DIR, or pipe a capture into it")
	}
	// The program at the other end must be looked for while it runs, so before it is known whether
	// that will be needed.
	w := upstream.Watch(cli.File(c.Stdin))
	in := &counter{r: c.Stdin}
	info, err := btinfo.Read(in)
	seen := w.Stop()
	if in.n == 0 && errors.Is(err, btinfo.ErrEmpty) {
		return readUpstream(w, seen)
	}
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return info, nil
}

// readFile reads path, or torrent.info in it if it is a directory.
func readFile(path string) (*btinfo.Info, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		path = filepath.Join(path, "torrent.info")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := btinfo.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

// readUpstream reads the torrent.info that the program at the other end of an empty pipe wrote. It
// is believed only when it is newer than this process, and whole: a capture that died half-way
// leaves one that lacks its last sum.
func readUpstream(w *upstream.Watcher, seen []upstream.Process) (*btinfo.Info, error) {
	const hint = "run it on the directory given to partclone: ezio-mktorrent DIR"
	if w == nil {
		return nil, cli.Failf("standard input is empty").WithHint(hint)
	}
	files := w.Infos(seen)
	if len(files) == 0 {
		if len(seen) > 0 {
			name := filepath.Base(seen[len(seen)-1].Args[0])
			return nil, cli.Failf("standard input is empty, and %s left no new torrent.info", name).WithHint(hint)
		}
		return nil, cli.Failf("standard input is empty, and the program that wrote to it is gone or another user's").WithHint(hint)
	}
	var first error
	for _, path := range files {
		info, err := readFile(path)
		if err == nil {
			if err = info.Check(); err == nil || errors.Is(err, btinfo.ErrNoHashes) {
				return info, nil
			}
			err = fmt.Errorf("%s: %w", path, err)
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// counter counts what passes.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
