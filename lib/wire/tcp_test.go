// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func option(t *testing.T, c *net.TCPConn, level, name int) (v int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSetLowDelay(t *testing.T) {
	for _, c := range []struct {
		name           string
		o              TCPOptions
		notSent, dead  int // as the kernel reports them
		probe, noDelay int
	}{
		{"zero value", TCPOptions{}, 128 << 10, 20000, 5, 1},
		{"chosen", TCPOptions{NotSent: 1 << 20, Dead: 2 * time.Second}, 1 << 20, 2000, 1, 1},
		{"system's own", TCPOptions{NotSent: -1}, 0, 20000, 5, 1},
	} {
		a, _ := tcpPair(t, "tcp6", "[::1]:0")
		if err := SetLowDelay(a, c.o); err != nil {
			t.Fatal(err)
		}
		for _, o := range []struct{ option, want int }{
			{unix.TCP_NOTSENT_LOWAT, c.notSent},
			{unix.TCP_USER_TIMEOUT, c.dead},
			{unix.TCP_KEEPIDLE, c.probe},
			{unix.TCP_KEEPINTVL, c.probe},
			{unix.TCP_NODELAY, c.noDelay},
		} {
			if got := option(t, a, unix.IPPROTO_TCP, o.option); got != o.want {
				t.Errorf("%s: option %d is %d, want %d", c.name, o.option, got, o.want)
			}
		}
		if option(t, a, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 1 {
			t.Errorf("%s: no probes", c.name)
		}
	}
	a, _ := tcpPair(t, "tcp4", "127.0.0.1:0")
	if err := SetNotSent(a, NotSentFor(1e8)); err != nil || option(t, a, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) != 1e6 {
		t.Error("SetNotSent:", err)
	}
	p, _ := net.Pipe()
	if err := errors.Join(SetLowDelay(p, TCPOptions{}), SetNotSent(p, 1)); err != nil {
		t.Error(err)
	}
	closed, _ := tcpPair(t, "tcp4", "127.0.0.1:0")
	closed.Close()
	if err := SetLowDelay(closed, TCPOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestNotSentFor(t *testing.T) {
	for rate, want := range map[float64]int{0: 128 << 10, 12.5e6: 128 << 10, 50e6: 500_000, 1e12: 2 << 20, math.Inf(1): 2 << 20, -1: 128 << 10} {
		if got := NotSentFor(rate); got != want {
			t.Errorf("NotSentFor(%v) = %d, want %d", rate, got, want)
		}
	}
}

func TestDelivered(t *testing.T) {
	dialled, accepted := tcpPair(t, "tcp4", "127.0.0.1:0")
	exchange := func(from, to *net.TCPConn, n int) {
		t.Helper()
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(c *net.TCPConn, n uint64) {
		t.Helper()
		if got, err := Delivered(c); got != n || err != nil {
			t.Fatalf("%d delivered, %v, want %d", got, err, n)
		}
	}
	want(dialled, 1)
	want(accepted, 0)
	// What comes back carries the acknowledgement along.
	exchange(dialled, accepted, 12345)
	exchange(accepted, dialled, 54321)
	want(dialled, 12346)
	exchange(dialled, accepted, 1)
	want(accepted, 54321)

	p, _ := net.Pipe()
	if _, err := Delivered(p); !errors.Is(err, ErrNotTCP) {
		t.Error(err)
	}
	dialled.Close()
	if _, err := Delivered(dialled); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestSetLowWater(t *testing.T) {
	a, b := tcpPair(t, "tcp4", "127.0.0.1:0")
	if err := SetLowWater(a, 1000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ arrived, want int }{{999, 0}, {1000, 1}} { // bytes, sockets ready
		if _, err := b.Write(make([]byte, c.arrived-pending(t, a))); err != nil {
			t.Fatal(err)
		}
		for pending(t, a) < c.arrived {
			runtime.Gosched()
		}
		if got := ready(t, a); got != c.want {
			t.Errorf("with %d bytes: %d ready", c.arrived, got)
		}
	}
	if n, err := a.Read(make([]byte, 2000)); n != 1000 || err != nil {
		t.Errorf("read %d bytes: %v", n, err)
	}
	// The end is not waited beyond.
	if _, err := b.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if got, err := io.ReadAll(a); len(got) != 10 || err != nil {
		t.Errorf("read %d bytes to the end: %v", len(got), err)
	}
	c, d := net.Pipe()
	defer c.Close()
	defer d.Close()
	if err := SetLowWater(c, 10); err != nil {
		t.Errorf("a pipe: %v", err)
	}
}

// pending is how many bytes have arrived that nobody has read.
func pending(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return n
}

// ready is 1 when a reader would be woken.
func ready(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) { n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return n
}
