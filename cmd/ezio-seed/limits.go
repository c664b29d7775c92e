// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"time"

	ucli "github.com/urfave/cli/v2"

	"ezio/lib/cli"
	"ezio/lib/swarm"
)

// limitFlags are about how much of the network the seed takes, and of which.
func limitFlags() []ucli.Flag {
	return []ucli.Flag{
		cli.RateFlag("upload-limit", "upload at most `RATE`, such as 20MB or 100Mbit a second, of all images together"),
		&ucli.BoolFlag{Name: "slow-start", Usage: "begin with 10 MB/s and add as much in each period up to 100 MB/s, then no limit but --upload-limit"},
		&ucli.DurationFlag{Name: "slow-start-period", Value: 10 * time.Second, Usage: "the `DUR` of a step of --slow-start"},
		cli.InterfaceFlag(),
	}
}

// throttle is the bound that the flags set.
func throttle(c *cli.Call) (*swarm.Throttle, error) {
	period := c.Duration("slow-start-period")
	if period <= 0 {
		return nil, cli.Usagef("--slow-start-period %v is not a time", period)
	}
	if !c.Bool("slow-start") {
		if c.IsSet("slow-start-period") {
			return nil, cli.Usagef("--slow-start-period is about --slow-start, which is missing")
		}
		period = 0
	}
	return swarm.NewThrottle(c.RateOf("upload-limit"), period), nil
}
