// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const defaultNotSent = 128 << 10

// TCPOptions tunes a connection. The zero value is what the swarm uses.
type TCPOptions struct {
	// NotSent is how many bytes the kernel may hold that it has not sent yet; 0 means 128 KiB,
	// negative leaves the system's, which is megabytes. A message waits for all of them.
	NotSent int
	// Dead is how long bytes, or a probe of an idle connection, may stay unacknowledged before
	// the connection counts as broken; 0 means 20 s. Without it the kernel tries for 15 minutes.
	Dead time.Duration
}

// SetLowDelay makes messages leave at once and a peer that vanished be noticed. A connection that
// is not TCP is left as it is.
func SetLowDelay(c net.Conn, o TCPOptions) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	if o.NotSent == 0 {
		o.NotSent = defaultNotSent
	}
	if o.Dead <= 0 {
		o.Dead = 20 * time.Second
	}
	probe := max(o.Dead/4, time.Second)
	err := errors.Join(
		tcp.SetNoDelay(true),
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: probe, Interval: probe, Count: 3}),
		setInt(tcp, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.Dead.Milliseconds())),
	)
	if o.NotSent > 0 {
		err = errors.Join(err, SetNotSent(c, o.NotSent))
	}
	if err != nil {
		return fmt.Errorf("set up connection: %w", err)
	}
	return nil
}

// SetNotSent changes TCPOptions.NotSent while the connection is in use. The default wakes the
// sender for every 64 KiB, which on a connection of gigabits costs more CPU time than the copying
// that sendfile saves; NotSentFor is what to pass. A connection that is not TCP is left as it is.
func SetNotSent(c net.Conn, bytes int) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	return setInt(tcp, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
}

// NotSentFor is how many unsent bytes let a message wait for no more than 10 ms on a connection
// that sends at the given rate in bytes a second, from 128 KiB to 2 MiB.
func NotSentFor(rate float64) int {
	return int(max(defaultNotSent, min(rate/100, 2<<20)))
}

// SetLowWater has a read of the connection that finds nothing wait until that many bytes are there, or
// the end. Whoever sets it must know that they will come, and not have them wait for long. A connection
// that is not TCP is left as it is.
func SetLowWater(c net.Conn, bytes int) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	return setInt(tcp, unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes)
}

func setInt(c *net.TCPConn, level, option, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, option, value))
	})
	return errors.Join(cerr, err)
}

// ErrNotTCP is what Delivered says of a connection that is not TCP.
var ErrNotTCP = errors.New("not a TCP connection")

// Delivered is how many bytes the peer's kernel has acknowledged since the connection was made
// (tcpi_bytes_acked, RFC 4898's tcpEStatsAppHCThruOctetsAcked). The side that dialled counts one
// more, its SYN.
func Delivered(c net.Conn) (uint64, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, ErrNotTCP
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("ask for bytes delivered: %w", err)
	}
	var info *unix.TCPInfo
	cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(cerr, os.NewSyscallError("getsockopt", err)); err != nil {
		return 0, fmt.Errorf("ask for bytes delivered: %w", err)
	}
	return info.Bytes_acked, nil
}
