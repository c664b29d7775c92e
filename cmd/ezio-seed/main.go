// SPDX-License-Identifier: GPL-2.0-or-later

// Ezio-seed serves disk images to a swarm, with a tracker and a page of its own.
package main

import (
	"context"
	"io"

	ucli "github.com/urfave/cli/v2"

	"ezio/lib/cli"
	"ezio/lib/progress"
)

func main() { cli.Main(run) }

const manual = `Serves the image that the torrent describes from the device, image file, btfiles directory or
uncompressed partclone image it was captured from, until it is interrupted. It is the tracker as
well, and hands out the torrent, so that receivers need nothing but its address:

  ezio-seed -t a.torrent -d /dev/sda1
  ezio-recv -t http://SEED:6969/a.torrent -d /dev/sda1       on every other machine

Several images are served over one port by repeating -t and -d; the first -d belongs to the first -t.
http://SEED:6969/ shows the receivers, /status.json and /metrics say the same to programs; --ui shows
them on the terminal. Before it serves it compares a few pieces with the torrent; --check compares
all of them. At its end it lists who has the image and who has not, and exits with 1 when a receiver
that had joined did not finish.`

const files = `The source is only read. With the systemd unit ezio-seed@NAME.service a standing seed takes its command
line from /etc/ezio/NAME.conf.`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return cli.Tool{
		Name:  "ezio-seed",
		Usage: "serve disk images to their receivers",
		Args:  "-t TORRENT -d SOURCE [-t TORRENT -d SOURCE]...",
		Text:  manual,
		More:  []cli.Section{{Title: "FILES", Text: files}},
		Flags: append([]ucli.Flag{
			&ucli.StringSliceFlag{Name: "torrent", Aliases: []string{"t"}, Usage: "`FILE`, - for standard input, or http URL of the torrent; may be repeated"},
			&ucli.StringSliceFlag{Name: "source", Aliases: []string{"d"}, Usage: "`DEVICE`, image file, btfiles directory or partclone image to serve from; one for each torrent"},
			&ucli.StringFlag{Name: "listen", Aliases: []string{"l"}, Value: ":6881", Usage: "`[HOST]:PORT` for peers, :0 for any free port"},
			&ucli.StringFlag{Name: "tracker-listen", Value: ":6969", Usage: "`[HOST]:PORT` of the tracker and web page, :0 for any free port"},
			&ucli.BoolFlag{Name: "no-tracker", Usage: "no tracker and no web page; announce to the torrent's own"},
			&ucli.BoolFlag{Name: "check", Usage: "hash the whole source before serving"},
			&ucli.BoolFlag{Name: "ui", Usage: "show the receivers full-screen on the terminal; q ends the seed"},
			&ucli.IntFlag{Name: "exit-after", Usage: "exit when `N` receivers have finished"},
			&ucli.DurationFlag{Name: "exit-idle", Usage: "exit when nobody was at work or asked for anything for `DUR`"},
		}, limitFlags()...),
		Action: func(c *cli.Call) error {
			c, remarks, err := behind(c)
			if err != nil {
				return err
			}
			return c.Track(false, func(r *progress.Reporter) error { return seed(c, r, remarks) })
		},
	}.Run(ctx, args, stdin, stdout, stderr)
}
