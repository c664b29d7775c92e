// SPDX-License-Identifier: GPL-2.0-or-later

package upstream

import (
	"os"
	"path/filepath"
	"strings"
)

// partclone's short options that take no value (partclone.c, parse_options), which may stand
// before -o or -O in one word, as in -cTo.
const flagLetters = "crbDRKwCNIiFBqTtWS"

// OutputDir is the directory that a partclone command line names with -o, -O, --output or
// --overwrite, in any spelling getopt_long takes; "" if it names none. A relative one is resolved
// against the process's working directory.
func (p Process) OutputDir() string {
	dir := ""
	for i := 1; i < len(p.Args); i++ {
		value, next := outputValue(p.Args[i])
		if next && i+1 < len(p.Args) {
			i++
			value = p.Args[i]
		}
		if value != "" {
			dir = value // the last one counts, as for getopt
		}
	}
	switch {
	case dir == "" || dir == "-":
		return ""
	case filepath.IsAbs(dir):
		return dir
	}
	return filepath.Join(p.Dir, dir)
}

// outputValue returns the directory that arg itself carries, or says that the next one is it.
func outputValue(arg string) (value string, next bool) {
	switch {
	case strings.HasPrefix(arg, "--"):
		name, value, joined := strings.Cut(arg[2:], "=")
		// Unambiguous abbreviations of output and overwrite; -of is offset's.
		if len(name) >= 2 && (strings.HasPrefix("output", name) || strings.HasPrefix("overwrite", name)) {
			return value, !joined
		}
	case strings.HasPrefix(arg, "-"):
		letters := arg[1:]
		i := strings.IndexAny(letters, "oO")
		if i < 0 || strings.Trim(letters[:i], flagLetters) != "" {
			return "", false
		}
		return letters[i+1:], i+1 == len(letters)
	}
	return "", false
}

// Infos lists the torrent.info files that the processes seen may have written, each newer than the
// watch itself.
func (w *Watcher) Infos(seen []Process) []string {
	var list []string
	for _, p := range seen {
		dir := p.OutputDir()
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, "torrent.info")
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && !fi.ModTime().Before(w.started) {
			list = append(list, path)
		}
	}
	return list
}
