// SPDX-License-Identifier: GPL-2.0-or-later

package netif

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// portTries is how often another free port is tried for when one is not free at all addresses.
const portTries = 20

// several is listeners at several addresses that are one to whoever accepts.
type several struct {
	list     []net.Listener
	accepted chan accepted
	done     chan struct{}
	close    func() error
}

type accepted struct {
	nc  net.Conn
	err error
}

// listenAll listens at one port of all addresses; "0" is one that is free at all of them.
func listenAll(addrs []netip.Addr, port string) (net.Listener, error) {
	for try := 1; ; try++ {
		l, err := listenEach(addrs, port)
		if err == nil || port != "0" && port != "" || !errors.Is(err, syscall.EADDRINUSE) || try == portTries {
			return l, err
		}
	}
}

func listenEach(addrs []netip.Addr, port string) (net.Listener, error) {
	s := &several{accepted: make(chan accepted), done: make(chan struct{})}
	s.close = sync.OnceValue(func() error {
		close(s.done)
		var errs []error
		for _, l := range s.list {
			errs = append(errs, l.Close())
		}
		return errors.Join(errs...)
	})
	for i, a := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(a.String(), port))
		if errors.Is(err, syscall.EADDRNOTAVAIL) && (i < len(addrs)-1 || len(s.list) > 0) {
			continue // an IPv6 address that the kernel is still making sure of, or one just gone
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s.list = append(s.list, l)
		port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range s.list {
		go s.pass(l)
	}
	return s, nil
}

// pass hands over what one of the listeners accepts, until it is closed.
func (s *several) pass(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select {
		case s.accepted <- accepted{nc, err}:
		case <-s.done:
			if nc != nil {
				nc.Close()
			}
			return
		}
	}
}

func (s *several) Accept() (net.Conn, error) {
	select {
	case <-s.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: s.Addr(), Err: net.ErrClosed}
	default:
	}
	select {
	case a := <-s.accepted:
		return a.nc, a.err
	case <-s.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: s.Addr(), Err: net.ErrClosed}
	}
}

// Addr is the first of the addresses.
func (s *several) Addr() net.Addr { return s.list[0].Addr() }

func (s *several) Close() error { return s.close() }
