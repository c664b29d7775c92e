// SPDX-License-Identifier: GPL-2.0-or-later

package netif

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestNilIsAny(t *testing.T) {
	var i *Interface
	l, err := i.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := i.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if i.Name() != "" {
		t.Error(i.Name())
	}
}

func TestUnknownInterface(t *testing.T) {
	_, err := Open("nosuch0")
	if err == nil || err.Error() != "interface nosuch0: no such network interface" {
		t.Fatal(err)
	}
}

// The loopback interface has addresses of both families: each can be reached, at the same port.
func TestListenHearsAtEveryAddress(t *testing.T) {
	lo, err := Open("lo")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := lo.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lo.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, a := range addrs {
		nc, err := lo.DialContext(context.Background(), "tcp", netip.AddrPortFrom(a, port).String())
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if from := in.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); from.Is4() != a.Is4() {
			t.Errorf("from %v to %v", from, a)
		}
		nc.Close()
		if _, err := io.Copy(io.Discard, in); err != nil {
			t.Error(err)
		}
		in.Close()
	}
	if _, err := lo.Listen(l.Addr().String()[strings.LastIndex(l.Addr().String(), ":"):]); err == nil {
		t.Error("a port that is taken is opened again")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	l.Close() // twice is no harm
}

func TestOrder(t *testing.T) {
	ip := func(s string) net.Addr {
		a := netip.MustParseAddr(s)
		return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(8, a.BitLen())}
	}
	for _, c := range []struct {
		in   []net.Addr
		want string
	}{
		{[]net.Addr{ip("fe80::1"), ip("fd00::1"), ip("10.0.0.1")}, "10.0.0.1 fd00::1"},
		{[]net.Addr{ip("fe80::1"), ip("10.0.0.1")}, "10.0.0.1 fe80::1%eth9"},
		{nil, ""},
	} {
		var got []string
		for _, a := range order(c.in, "eth9") {
			got = append(got, a.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v: %s, want %s", c.in, s, c.want)
		}
	}
}
