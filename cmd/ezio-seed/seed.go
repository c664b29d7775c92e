// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"ezio/lib/cli"
	"ezio/lib/progress"
	"ezio/lib/screen"
	"ezio/lib/swarm"
)

// seed is the whole job: the images, one port for peers, one for the tracker and page, and serving
// until an exit condition holds.
func seed(c *cli.Call, r *progress.Reporter, remarks *screen.Remarks) error {
	if c.Int("exit-after") < 0 {
		return cli.Usagef("--exit-after %d is negative", c.Int("exit-after"))
	}
	limit, err := throttle(c)
	if err != nil {
		return err
	}
	iface, err := c.Interface()
	if err != nil {
		return err
	}
	images, err := openImages(c, r)
	if err != nil {
		return err
	}
	defer closeImages(images)
	l, err := c.ListenForPeers(iface)
	if err != nil {
		return err
	}
	port := swarm.NewPort(l, c.Log(r))
	defer port.Close()
	for _, im := range images {
		err := im.serve(r, swarm.Config{Log: c.Log(r), Port: port, Throttle: limit, Dial: iface.DialContext, Banned: r.Banned})
		if err != nil {
			return err
		}
		defer im.sw.Close()
	}
	meet, err := openMeetingPoint(c, iface, images, port.Number(), c.Log(r))
	if err != nil {
		return err
	}
	defer meet.close()
	s := &session{c: c, r: r, images: images, meet: meet, port: port.Number(), remarks: remarks}
	return s.run()
}
