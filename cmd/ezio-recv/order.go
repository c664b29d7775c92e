// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"ezio/lib/cli"
)

// An order is an image and where to put it.
type order struct {
	torrent string // file, "-" or URL
	target  string // device or image file
}

// findOrders reads what is to be done from the command line.
func findOrders(c *cli.Call) ([]order, error) {
	o := order{torrent: c.String("torrent"), target: c.String("target")}
	if o.target == "" {
		return nil, cli.Usagef("no target: -d is missing").WithHint("%s --help", c.Tool)
	}
	if o.torrent == "" {
		return nil, cli.Usagef("no torrent: -t is missing").WithHint("%s --help", c.Tool)
	}
	return []order{o}, nil
}
