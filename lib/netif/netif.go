// SPDX-License-Identifier: GPL-2.0-or-later

// Package netif keeps a program's traffic on one network interface, for machines that have several:
// connections begin at the interface's addresses and leave through it, whatever the routes say, and
// listeners hear at its addresses only.
//
// A nil *Interface is valid and means any: it dials and listens as package net does.
package netif

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Interface is a network interface by its name, such as eth0. Its addresses are looked up each
// time: a lease may change them.
type Interface struct{ name string }

// Open finds an interface. It must be there and have an address; that it is up shows in use.
func Open(name string) (*Interface, error) {
	i := &Interface{name}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("interface %s has no address", name)
	}
	return i, nil
}

// Name is the interface's name, "" for any.
func (i *Interface) Name() string {
	if i == nil {
		return ""
	}
	return i.name
}

// Addrs are the interface's addresses, IPv4 first; link-local ones only if there is nothing else of
// their family. Nil has none.
func (i *Interface) Addrs() ([]netip.Addr, error) {
	if i == nil {
		return nil, nil
	}
	ni, err := net.InterfaceByName(i.name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", i.name, reason(err))
	}
	list, err := ni.Addrs()
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", i.name, reason(err))
	}
	return order(list, i.name), nil
}

func order(list []net.Addr, zone string) []netip.Addr {
	var v4, v6, local []netip.Addr
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, _ := netip.AddrFromSlice(n.IP)
		switch ip = ip.Unmap(); {
		case ip.Is4():
			v4 = append(v4, ip)
		case ip.IsLinkLocalUnicast():
			local = append(local, ip.WithZone(zone))
		default:
			v6 = append(v6, ip)
		}
	}
	if len(v6) == 0 {
		v6 = local
	}
	return append(v4, v6...)
}

// DialContext connects as net.Dialer does, from the interface. Networks are tcp and udp.
func (i *Interface) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if i == nil {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	own, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{ControlContext: func(_ context.Context, network, remote string, c syscall.RawConn) error {
		return i.bind(network, remote, own, c)
	}}
	return d.DialContext(ctx, network, addr)
}

// bind puts a socket that is about to connect onto the interface. Its own addresses are reached
// through the loopback interface, so there the source address alone must do.
func (i *Interface) bind(network, remote string, own []netip.Addr, c syscall.RawConn) error {
	to, err := netip.ParseAddrPort(remote)
	if err != nil {
		return err
	}
	from := slices.IndexFunc(own, func(a netip.Addr) bool { return a.Is4() == to.Addr().Unmap().Is4() })
	if from < 0 {
		return fmt.Errorf("interface %s has no address for %s", i.name, strings.TrimPrefix(network, "tcp"))
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		if !slices.Contains(own, to.Addr().Unmap()) {
			failed = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, i.name)
			if failed == unix.EPERM { // kernels before 5.7 want a privilege for it
				failed = nil
			}
		}
		if failed == nil {
			failed = unix.Bind(int(fd), sockaddr(own[from]))
		}
	})
	if err == nil && failed != nil {
		err = fmt.Errorf("bind to interface %s: %w", i.name, failed)
	}
	return err
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	sa := &unix.SockaddrInet6{Addr: a.As16()}
	if ni, err := net.InterfaceByName(a.Zone()); err == nil {
		sa.ZoneId = uint32(ni.Index)
	}
	return sa
}

// Listen listens for TCP at addr, HOST:PORT. Without a host it hears at all of the interface's
// addresses, on the same port.
func (i *Interface) Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if i == nil || err != nil || host != "" {
		return net.Listen("tcp", addr)
	}
	own, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("interface %s has no address", i.name)
	}
	return listenAll(own, port)
}

// reason drops the operation that package net puts before an error.
func reason(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}
