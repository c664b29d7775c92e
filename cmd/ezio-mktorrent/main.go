// SPDX-License-Identifier: GPL-2.0-or-later

// Ezio-mktorrent turns torrent.info, as partclone or ezio-btfiles writes it, into a .torrent.
package main

import (
	"context"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	ucli "github.com/urfave/cli/v2"

	"ezio/lib/btinfo"
	"ezio/lib/cli"
	"ezio/lib/extent"
	"ezio/lib/metainfo"
	"ezio/lib/piece"
	"ezio/lib/progress"
)

func main() { cli.Main(run) }

const manual = `Reads torrent.info from standard input, or from the FILE or from torrent.info in the DIR named,
and writes the .torrent that describes the same disk image. Adds nothing and asks for nothing:

  partclone.extfs -c -T -s /dev/sda1 -o t/ | ezio-mktorrent > a.torrent
  ezio-btfiles -s /dev/sda1 | ezio-mktorrent > a.torrent
  ezio-mktorrent -t http://10.0.0.1:6969/announce -o a.torrent t/

partclone writes nothing into the pipe but t/torrent.info; ezio-mktorrent finds that file through
the program at the other end. The infohash is printed on standard error.`

const files = `torrent.info is looked for in a DIR that is named, or in the output directory of the partclone at the
other end of the pipe. The torrent that -o names is replaced only by a whole one.`

const environment = `SOURCE_DATE_EPOCH, in seconds, is taken for the time in the torrent's creation date, so that the same
input gives the same bytes.`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return cli.Tool{
		Name:  "ezio-mktorrent",
		Usage: "make a .torrent from torrent.info",
		Args:  "[OPTIONS] [DIR or FILE] > a.torrent",
		Text:  manual,
		More: []cli.Section{
			{Title: "FILES", Text: files},
			{Title: "ENVIRONMENT", Text: environment},
		},
		MaxArgs: 1,
		Flags: []ucli.Flag{
			&ucli.StringSliceFlag{Name: "tracker", Aliases: []string{"t"}, Usage: "announce `URL`, http, https or udp; may be repeated"},
			&ucli.StringFlag{Name: "name", Aliases: []string{"n"}, Value: "root", Usage: "`NAME` of the image, part of the infohash"},
			&ucli.StringFlag{Name: "creator", Aliases: []string{"c"}, Value: "ezio " + cli.Version, Usage: "`TEXT` of the created by field"},
			&ucli.StringFlag{Name: "comment", Usage: "`TEXT` of the comment field"},
			&ucli.BoolFlag{Name: "private", Usage: "peers only from the trackers (BEP 27)"},
			&ucli.BoolFlag{Name: "coalesce", Usage: "merge extents that touch; fewer files, another infohash, the same pieces"},
			&ucli.StringFlag{Name: "source", Aliases: []string{"d"}, Usage: "hash from this device, image or btfiles `DIR`"},
			cli.SizeFlag("piece-length", "cut pieces of `SIZE`, a power of two; needs --source unless torrent.info has it"),
			&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"},
		},
		Action: func(c *cli.Call) error {
			return c.Track(true, func(r *progress.Reporter) error { return mktorrent(c, r) })
		},
	}.Run(ctx, args, stdin, stdout, stderr)
}

func mktorrent(c *cli.Call, r *progress.Reporter) error {
	trackers, err := trackerURLs(c.StringSlice("tracker"))
	if err != nil {
		return err
	}
	if n := c.SizeOf("piece-length"); n != 0 {
		if err := piece.CheckLength(n); err != nil {
			return cli.Usagef("--piece-length: %v", err)
		}
	}
	if c.String("output") == "" && cli.IsTerminal(c.Stdout) {
		return cli.Usagef("refusing to write a torrent to a terminal").WithHint("redirect it: > a.torrent, or use -o a.torrent")
	}
	info, err := read(c)
	if err != nil {
		return err
	}
	if err := sums(c, r, info); err != nil {
		return err
	}
	b, t, err := spec(c, info, trackers).Encode()
	if err != nil {
		return err
	}
	if out := c.String("output"); out != "" {
		err = cli.WriteFile(out, b)
	} else {
		err = cli.Emit(c.Stdout, b, true)
	}
	if err != nil {
		return err
	}
	r.Done(progress.Fields{"infohash": t.InfoHash.String(), "pieces": len(t.Pieces)})
	r.Printf("infohash %s, %d extents, %d pieces of %s",
		t.InfoHash, len(t.Extents), len(t.Pieces), humanize.IBytes(uint64(t.Layout.Length)))
	return nil
}

func spec(c *cli.Call, info *btinfo.Info, trackers []string) metainfo.Spec {
	extents := info.Records
	if c.Bool("coalesce") {
		extents = extent.Coalesce(extents)
	}
	return metainfo.Spec{
		Name:        c.String("name"),
		CreatedBy:   c.String("creator"),
		Comment:     c.String("comment"),
		Created:     created(),
		Private:     c.Bool("private"),
		Trackers:    trackers,
		PieceLength: info.PieceLength,
		Extents:     extents,
		Pieces:      info.Pieces,
		Disk: metainfo.Disk{
			DeviceSize: info.End(),
			BlockSize:  info.BlockSize,
			Filesystem: info.Filesystem,
			Source:     info.Source,

			PartitionTable: info.PartitionTable,
		},
	}
}

// created is now, or what SOURCE_DATE_EPOCH says, so that a build can repeat itself to the byte.
func created() time.Time {
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(s, 0)
	}
	return time.Now()
}

func trackerURLs(list []string) ([]string, error) {
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "udp"}, u.Scheme) {
			return nil, cli.Usagef("--tracker %q is not an http, https or udp URL", s).
				WithHint("for example -t http://10.0.0.1:6969/announce")
		}
	}
	return list, nil
}
