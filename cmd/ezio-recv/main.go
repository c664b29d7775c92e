// SPDX-License-Identifier: GPL-2.0-or-later

// Ezio-recv receives a disk image from a swarm, straight onto the target.
package main

import (
	"context"
	"io"
	"time"

	ucli "github.com/urfave/cli/v2"

	"ezio/lib/cli"
	"ezio/lib/progress"
)

func main() { cli.Main(run) }

const manual = `Receives the image that the torrent describes and writes it to the device or image file, each
piece at its place on the disk and only after its hash was verified, while uploading what it has
to the other receivers. Everything between the image's extents stays as it is.

  ezio-recv -t http://10.0.0.1:6969/a.torrent -d /dev/sda1
  ezio-recv -t a.torrent -d sda1.img --peer 10.0.0.1:6881
  ezio-recv --config tftp://10.0.0.1/ezio.conf

It refuses a target that is too small, mounted, otherwise in use or read-only before it writes
anything. A file that does not exist is created, sparse. Started again after an interruption it
keeps what is right on the target and fetches the rest; on a damaged target it repairs just that.
The GPT of a whole disk is moved to the end of a larger target. When it is done, everything was
verified, written and synced; then it goes on uploading until the seed, or the tracker's figures, say
that nobody misses anything, or nobody has asked for anything for the time that --seed-idle says.

ezio.conf names what to receive, once or for several partitions or disks, which are then written
side by side:

  TORRENT=http://10.0.0.1:6969/sda1.torrent    # a file or URL, from where ezio.conf is
  TARGET=/dev/sda1
  TORRENT=sda2.torrent TARGET=/dev/sda2

torrent= and disk= mean the same. It is read as a shell reads assignments, with comments and quotes,
but nothing is expanded or executed. One target that fails does not stop the others; the exit code
is then that of the worst: 3 before 1 before 4.`

const files = `Nothing is written but the target: what a later run needs to go on is found on it.`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return cli.Tool{
		Name:  "ezio-recv",
		Usage: "receive a disk image onto a device",
		Args:  "-t TORRENT -d TARGET | --config FILE",
		Text:  manual,
		More:  []cli.Section{{Title: "FILES", Text: files}},
		Flags: []ucli.Flag{
			cli.TorrentFlag(),
			&ucli.StringFlag{Name: "target", Aliases: []string{"d"}, Usage: "`DEVICE` or image file to write; its old content is lost"},
			&ucli.StringFlag{Name: "config", Usage: "read torrents and targets from ezio.conf: `FILE`, - for standard input, http or tftp URL"},
			&ucli.StringFlag{Name: "listen", Aliases: []string{"l"}, Value: ":6881", Usage: "`[HOST]:PORT` for other peers, :0 for any free port"},
			&ucli.StringSliceFlag{Name: "peer", Usage: "connect to `HOST:PORT`; may be repeated"},
			cli.RateFlag("upload-limit", "upload at most `RATE`, such as 20MB or 100Mbit a second, for all targets together"),
			cli.RateFlag("download-limit", "download at most `RATE`, likewise"),
			cli.InterfaceFlag(),
			&ucli.StringSliceFlag{Name: "tracker", Usage: "announce to `URL` too; may be repeated"},
			&ucli.DurationFlag{Name: "seed-idle", Value: 15 * time.Second, Usage: "when done, upload as long as others miss something, but no longer than until nobody asked for `DUR`; 0 exits at once"},
			&ucli.StringFlag{Name: "name", Usage: "what the seed's page calls this machine; by default its `HOSTNAME`"},
			&ucli.BoolFlag{Name: "no-resume", Usage: "do not look for what an earlier run left on the target"},
			&ucli.BoolFlag{Name: "verify-after", Usage: "read everything back from the target before saying done"},
			&ucli.StringFlag{Name: "infohash", Usage: "accept only the torrent with this infohash, 40 `HEX` digits"},
			&ucli.BoolFlag{Name: "force", Usage: "overwrite a file that holds other data"},
		},
		Action: func(c *cli.Call) error {
			return c.Track(false, func(r *progress.Reporter) error { return receive(c, r) })
		},
	}.Run(ctx, args, stdin, stdout, stderr)
}
