// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"fmt"
	"strconv"
	"strings"
)

// said listens to a program's stderr and keeps what is of use: two figures of partclone's summary
// and the last lines, for the error message. Its memory is bounded, whatever the program prints.
type said struct {
	filesystem string // "File system:  EXTFS"
	blockSize  int64  // "Block size:   4096 Byte"

	line []byte   // the line being received, up to saidLine bytes of it
	last []string // the last lines worth quoting, oldest first
}

const (
	saidLine  = 300
	saidLines = 3
)

// Write never fails, so that the program is never stopped by what it says.
func (s *said) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\n' || c == '\r':
			s.end()
		case c >= ' ' && c <= '~' && len(s.line) < saidLine:
			s.line = append(s.line, c)
		}
	}
	return len(p), nil
}

// noise are the lines, by their beginning, that say nothing about a failure.
var noise = []string{"Partclone v", "Starting to", "Elapsed:", "Total Time:", "error exit"}

func (s *said) end() {
	// partclone does not always break the line after the one and before the other.
	line := strings.TrimPrefix(string(s.line), "Calculating bitmap... Please wait...")
	line, _, _ = strings.Cut(line, "Partclone fail, please check")
	line = strings.TrimSpace(line)
	s.line = s.line[:0]
	if value, ok := strings.CutPrefix(line, "File system:"); ok {
		s.filesystem = strings.TrimSpace(value)
	}
	if value, ok := strings.CutPrefix(line, "Block size:"); ok {
		n, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		s.blockSize, _ = strconv.ParseInt(n, 10, 64)
	}
	if line == "" {
		return
	}
	for _, n := range noise {
		if strings.HasPrefix(line, n) {
			return
		}
	}
	if len(s.last) == saidLines {
		s.last = s.last[1:]
	}
	s.last = append(s.last, line)
}

// explain adds to the way a program ended what it said last.
func (s *said) explain(err error) error {
	s.end()
	if len(s.last) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.TrimRight(strings.Join(s.last, "; "), "."))
}
