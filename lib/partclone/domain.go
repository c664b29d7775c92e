// SPDX-License-Identifier: GPL-2.0-or-later

package partclone

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"ezio/lib/extent"
)

// maxDomainLine bounds a line of a domain map; one of them quotes the source's path.
const maxDomainLine = 64 << 10

// ParseDomain reads what `partclone.X -D` writes: a ddrescue mapfile in which `+` marks used and
// `?` unused ranges. It returns the used ranges as maximal extents and the size in bytes of the
// filesystem, which may be less than that of its device. The map must cover the filesystem from 0
// to its end without a gap, so one that was cut short is an error.
func ParseDomain(r io.Reader) ([]extent.Extent, int64, error) {
	d := domain{used: runs{blockSize: 1}, size: -1}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxDomainLine)
	line := 0
	for sc.Scan() {
		line++
		if err := d.add(sc.Bytes()); err != nil {
			return nil, 0, fmt.Errorf("domain map line %d: %w", line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, 0, fmt.Errorf("domain map line %d: %w", line+1, err)
	}
	switch {
	case d.size < 0:
		return nil, 0, fmt.Errorf("domain map has no status line: %w", io.ErrUnexpectedEOF)
	case d.used.next != d.size:
		return nil, 0, fmt.Errorf("domain map ends at %#x, not at the filesystem's end %#x: %w", d.used.next, d.size, io.ErrUnexpectedEOF)
	}
	return d.used.list, d.size, nil
}

type domain struct {
	used runs  // in blocks of one byte
	size int64 // from the status line; -1 before it
}

// add takes one line: a comment, the status line (position, status), or a range (position, size,
// status).
func (d *domain) add(line []byte) error {
	f := strings.Fields(string(line))
	if len(f) == 0 || bytes.HasPrefix(line, []byte("#")) {
		return nil
	}
	pos, err := hexNumber(f[0])
	if err != nil {
		return err
	}
	if d.size < 0 {
		if len(f) != 2 {
			return errors.New("want a position and a status")
		}
		d.size = pos
		return nil
	}
	if len(f) != 3 || f[2] != "+" && f[2] != "?" {
		return errors.New("want a position, a size, and `+` or `?`")
	}
	size, err := hexNumber(f[1])
	switch {
	case err != nil:
		return err
	case pos != d.used.next:
		return fmt.Errorf("range begins at %#x, want %#x", pos, d.used.next)
	case size == 0:
		return errors.New("range of 0 bytes")
	case size > d.size-pos:
		return fmt.Errorf("range ends beyond the filesystem's end %#x", d.size)
	}
	return d.used.add(size, f[2] == "+")
}

// hexNumber reads a number of at most 63 bits, written 0x0123ABCD.
func hexNumber(s string) (int64, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%.40q is not a hexadecimal number of 63 bits", s)
	}
	return int64(n), nil
}
