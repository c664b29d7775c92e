// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Compare reads what a receiver wrote against the image, byte for byte. A receiver that was stopped
// on its way (partial) may lack pages, which then are zeros, but must hold nothing else.
func (im *Image) Compare(outputs []string, partial bool) error {
	want, err := os.Open(im.Raw)
	if err != nil {
		return err
	}
	defer want.Close()
	offset := int64(0)
	for _, path := range outputs {
		n, err := compareFile(want, offset, path, partial)
		if partial && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		offset += n
	}
	if offset != im.Size && !partial {
		return fmt.Errorf("%s: %d bytes, but the image has %d", strings.Join(outputs, ", "), offset, im.Size)
	}
	return nil
}

// compareFile compares one output with the image from offset and returns the output's length.
func compareFile(want io.ReaderAt, offset int64, path string, partial bool) (int64, error) {
	got, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer got.Close()
	a, b := make([]byte, mib), make([]byte, mib)
	for at := int64(0); ; {
		n, err := io.ReadFull(got, a)
		if n == 0 && err == io.EOF {
			return at, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		if _, err := want.ReadAt(b[:n], offset+at); err != nil {
			return 0, fmt.Errorf("%s at %#x: beyond the image's end: %w", path, at, err)
		}
		if i := differ(a[:n], b[:n], partial); i >= 0 {
			return 0, fmt.Errorf("%s differs from the image in the page at %#x", path, at+int64(i))
		}
		at += int64(n)
	}
}

// differ finds the first page in which got is not want's; with partial, nor zeros.
func differ(got, want []byte, partial bool) int {
	if bytes.Equal(got, want) {
		return -1
	}
	zeros := make([]byte, page)
	for i := 0; i < len(got); i += page {
		end := min(i+page, len(got))
		if !bytes.Equal(got[i:end], want[i:end]) && !(partial && bytes.Equal(got[i:end], zeros[:end-i])) {
			return i
		}
	}
	return -1
}

// Presence marks, one bool for each page of image space, what files hold data for.
type Presence []bool

// NewPresence has nothing marked.
func (im *Image) NewPresence() Presence { return make(Presence, (im.Size+page-1)/page) }

// Add marks what a receiver has written: the ranges of its sparse outputs that are not holes.
func (pr Presence) Add(outputs []string, lengths []int64) {
	offset := int64(0)
	for i, path := range outputs {
		pr.addFile(path, offset)
		offset += lengths[i]
	}
}

func (pr Presence) addFile(path string, offset int64) {
	f, err := os.Open(path)
	if err != nil {
		return // not created yet
	}
	defer f.Close()
	for at := int64(0); ; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if err != nil {
			return // no data beyond
		}
		to, err := f.Seek(from, unix.SEEK_HOLE)
		if err != nil {
			return
		}
		for i := (offset + from) / page; i*page < offset+to && i < int64(len(pr)); i++ {
			pr[i] = true
		}
		at = to
	}
}

// Share is the part that is marked, from 0 to 1.
func (pr Presence) Share() float64 {
	n := 0
	for _, ok := range pr {
		if ok {
			n++
		}
	}
	return float64(n) / float64(max(1, len(pr)))
}
