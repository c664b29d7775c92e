// SPDX-License-Identifier: GPL-2.0-or-later

package wire

import (
	"errors"
	"io"
	"math"
	"net"
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
