// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// SendBlockFrom is SendBlock for a payload that is not in files: length bytes of src from off. It
// reads all of them before it sends anything, so a *SourceError leaves the connection as it was,
// and sends prefix and payload in one write.
func SendBlockFrom(c net.Conn, prefix []byte, src io.ReaderAt, off, length int64) (n int64, err error) {
	return sendRead(c, prefix, length, func(p []byte) error { return readAll(src, "", p, off) })
}

// sendCopy is SendBlock where the kernel cannot do it.
func sendCopy(c net.Conn, prefix []byte, ranges []Range) (int64, error) {
	var length int64
	for _, r := range ranges {
		length += max(0, r.Length)
	}
	return sendRead(c, prefix, length, func(p []byte) error {
		for _, r := range ranges {
			n := max(0, r.Length)
			if err := readAll(r.File, r.path(), p[:n], r.Offset); err != nil {
				return err
			}
			p = p[n:]
		}
		return nil
	})
}

// buffers holds *[]byte, each as long as the longest block it has held.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func sendRead(c net.Conn, prefix []byte, length int64, read func(p []byte) error) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	total := len(prefix) + int(length)
	if cap(*buf) < total {
		*buf = make([]byte, total)
	}
	b := (*buf)[:total]
	if err := read(b[copy(b, prefix):]); err != nil {
		return 0, err
	}
	n, err := c.Write(b)
	if err != nil {
		return int64(n), fmt.Errorf("send block: %w", err)
	}
	return int64(n), nil
}

func readAll(src io.ReaderAt, path string, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if n, err := src.ReadAt(p, off); n < len(p) {
		return &SourceError{Path: path, Offset: off + int64(n), Err: cut(err)}
	}
	return nil
}
