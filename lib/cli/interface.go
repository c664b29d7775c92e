// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"errors"
	"net"
	"syscall"

	"github.com/urfave/cli/v2"

	"ezio/lib/fetch"
	"ezio/lib/netif"
)

// InterfaceFlag is --interface of the tools that use the network.
func InterfaceFlag() cli.Flag {
	return &cli.StringFlag{Name: "interface", Usage: "use only this network `INTERFACE`, such as eth0, for peers, trackers and HTTP"}
}

// Interface is what --interface names, nil for any.
func (c *Call) Interface() (*netif.Interface, error) {
	name := c.String("interface")
	if name == "" {
		return nil, nil
	}
	i, err := netif.Open(name)
	if err != nil {
		return nil, Failf("%w", err).WithHint("ip address shows the interfaces and their addresses")
	}
	return i, nil
}

// ListenForPeers listens at --listen, on the interface.
func (c *Call) ListenForPeers(i *netif.Interface) (net.Listener, error) {
	l, err := i.Listen(c.String("listen"))
	if err == nil {
		return l, nil
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = syscall.EADDRINUSE
	}
	return nil, Failf("listen on %s: %w", c.String("listen"), err).
		WithHint("choose another port with --listen, or --listen :0 for any")
}

// Fetch reads a document that the command line names: a file, "-" or a URL, at most limit bytes.
func (c *Call) Fetch(arg string, limit int64) ([]byte, error) {
	i, err := c.Interface()
	if err != nil {
		return nil, err
	}
	return fetch.BytesVia(c.Context.Context, i.DialContext, arg, c.Stdin, limit)
}
