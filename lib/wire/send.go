// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Range is a run of bytes of a file or device. Many connections may send from one File at once:
// its position is neither used nor moved.
type Range struct {
	File   *os.File
	Offset int64 // of the first byte in File
	Length int64 // bytes
}

func (r Range) path() string {
	if r.File == nil {
		return ""
	}
	return r.File.Name()
}

// A SourceError is a failure to read what was to be sent: the disk's fault, not the peer's.
type SourceError struct {
	Path   string // "" when Err names it
	Offset int64  // where reading failed
	Err    error
}

func (e *SourceError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("read %s at %#x: %v", e.Path, e.Offset, e.Err)
}

func (e *SourceError) Unwrap() error { return e.Err }

// SendBlock sends prefix (queued messages and then a piece header) and the bytes of ranges (that
// piece message's payload) as one stream: over TCP the kernel sends the payload out of its page
// cache, and full packets throughout. It returns the number of bytes sent.
//
// An error in reading a range, such as a short file, is a *SourceError; any other is the
// connection's and wraps os.ErrDeadlineExceeded when its write deadline passed. When n is not 0
// the stream is cut in mid-message, and the connection is of no more use. Nothing else may
// write to c meanwhile.
func SendBlock(c net.Conn, prefix []byte, ranges []Range) (n int64, err error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return sendCopy(c, prefix, ranges)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("send block: %w", err)
	}
	if len(ranges) > 1 {
		// sendfile pushes the end of each range out; a cork lets the next range fill that packet.
		setCork(raw, 1)
		defer setCork(raw, 0)
	}
	s := sender{prefix: prefix, ranges: ranges}
	if err := raw.Write(s.step); err != nil {
		return s.sent, fmt.Errorf("send block: %w", err)
	}
	if s.stuck {
		n, err := sendCopy(c, s.prefix, s.rest())
		return s.sent + n, err
	}
	return s.sent, s.err
}

func setCork(raw syscall.RawConn, on int) {
	raw.Control(func(fd uintptr) {
		// All that is lost if it fails is a few bytes of header.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, on)
	})
}

// A sender is a SendBlock under way.
type sender struct {
	prefix []byte  // what is left of it
	ranges []Range // the first is under way
	done   int64   // bytes of the first range that are sent
	sent   int64   // bytes in all
	err    error   // the connection's
	stuck  bool    // sendfile gets no further, and it does not say whose fault that is
}

// step sends until all is sent or failed (true), or the socket is full (false).
func (s *sender) step(fd uintptr) bool {
	for len(s.prefix) > 0 || len(s.ranges) > 0 {
		var err error
		if len(s.prefix) > 0 {
			err = s.sendPrefix(int(fd))
		} else {
			err = s.sendRange(int(fd))
		}
		switch {
		case err == unix.EAGAIN:
			return false
		case err == unix.EINTR:
		case s.stuck:
			return true
		case err != nil:
			s.err = fmt.Errorf("send block: %w", err)
			return true
		}
	}
	return true
}

func (s *sender) sendPrefix(fd int) error {
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if len(s.ranges) > 0 {
		flags |= unix.MSG_MORE
	}
	n, err := unix.SendmsgN(fd, s.prefix, nil, nil, flags)
	if err == unix.EAGAIN || err == unix.EINTR {
		return err
	}
	if err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	s.prefix = s.prefix[n:]
	s.sent += int64(n)
	return nil
}

// maxSendfile is a little under what the kernel sends at most in one call.
const maxSendfile = 1 << 30

func (s *sender) sendRange(fd int) error {
	r := s.ranges[0]
	if s.done >= r.Length {
		s.ranges, s.done = s.ranges[1:], 0
		return nil
	}
	n, err := sendfile(fd, r.File, r.Offset+s.done, int(min(r.Length-s.done, maxSendfile)))
	s.done += int64(n)
	s.sent += int64(n)
	switch err {
	case unix.EAGAIN, unix.EINTR:
		return err
	case unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN:
		return os.NewSyscallError("sendfile", err)
	}
	// A file that ends, cannot be read, is closed, or knows no sendfile (some of FUSE or /proc):
	// copying finds out which, with a proper error if need be.
	s.stuck = n == 0
	return nil
}

// sendfile goes through SyscallConn so that a file closed meanwhile is an error, and not whatever
// file has been given its number since.
func sendfile(fd int, f *os.File, at int64, count int) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(in uintptr) { n, err = unix.Sendfile(fd, int(in), &at, count) }); cerr != nil {
		return 0, cerr
	}
	return max(n, 0), err
}

// rest is the ranges that have not been sent.
func (s *sender) rest() []Range {
	rest := append([]Range(nil), s.ranges...)
	if len(rest) > 0 {
		rest[0].Offset += s.done
		rest[0].Length -= s.done
	}
	return rest
}
