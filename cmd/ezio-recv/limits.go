// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"github.com/dustin/go-humanize"

	"ezio/lib/cli"
	"ezio/lib/swarm"
)

// leastDownload is the lowest bound, in bytes a second, under which several peers at once still see
// their bytes taken in the time after which they give a receiver up for dead.
const leastDownload = 256 << 10

// throttles are the bounds that all jobs share.
func throttles(c *cli.Call) (up, down *swarm.Throttle, err error) {
	rate := c.RateOf("download-limit")
	if rate != 0 && rate < leastDownload {
		return nil, nil, cli.Usagef("--download-limit: %s is less than %s a second", humanize.IBytes(uint64(rate)), humanize.IBytes(leastDownload))
	}
	return swarm.NewThrottle(c.RateOf("upload-limit"), 0), swarm.NewThrottle(rate, 0), nil
}
