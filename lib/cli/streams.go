// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// stdin is the process's standard input, except that a read ends when the context does: a tool
// that waits for the rest of a pipe must still be able to clean up after Ctrl+C.
type stdin struct {
	f   *os.File
	ctx context.Context
}

const pollEvery = 200 // milliseconds between two looks at the context

func (s *stdin) Read(p []byte) (int, error) {
	for {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		fds := []unix.PollFd{{Fd: int32(s.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, pollEvery)
		if err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("standard input: %w", err)
		}
		if n > 0 {
			return s.f.Read(p)
		}
	}
}

// File is the file below a stdin that Main passed on, nil for any other reader.
func File(r io.Reader) *os.File {
	switch r := r.(type) {
	case *stdin:
		return r.f
	case *os.File:
		return r
	}
	return nil
}

// IsTerminal says whether a stream is a terminal.
func IsTerminal(stream any) bool {
	var f *os.File
	switch s := stream.(type) {
	case io.Reader:
		f = File(s)
	}
	if f == nil {
		f, _ = stream.(*os.File)
	}
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// Emit writes a tool's product to stdout, in one go when everything else has succeeded. Binary
// products are never written to a terminal.
func Emit(stdout io.Writer, product []byte, binary bool) error {
	if binary && IsTerminal(stdout) {
		return Usagef("refusing to write binary output to a terminal").WithHint("redirect it: > FILE, or use -o FILE")
	}
	if closedAtStart(stdout) {
		return Failf("write standard output: it is closed")
	}
	if _, err := stdout.Write(product); err != nil {
		return fmt.Errorf("write standard output: %w", cause(err))
	}
	return nil
}

// closedAtStart says whether the process was started without a standard output. The Go runtime
// opens /dev/null read-write in the place of a missing stream, where the product would vanish
// and the tool report success. A shell's own >/dev/null is write-only.
func closedAtStart(stdout io.Writer) bool {
	f, ok := stdout.(*os.File)
	if !ok {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err == unix.EBADF
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	devNull := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
	return devNull && flags&unix.O_ACCMODE == unix.O_RDWR
}

// WriteFile puts a product where path says, whole or not at all: a file of that name is replaced
// only once the new one is on the disk. A path that is not a regular file (a pipe, /dev/stdout)
// is written to as it is.
func WriteFile(path string, product []byte) error {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		if fi.IsDir() {
			return Usagef("%s is a directory", path)
		}
		return writeInto(path, product)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = func() error {
		if _, err := f.Write(product); err != nil {
			return err
		}
		if err := f.Chmod(0o644); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

func writeInto(path string, product []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(product)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	return nil
}

// cause drops the operation and path that the os package put before an errno, so that ours are
// said once.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
