// SPDX-License-Identifier: GPL-2.0-or-later

// Ezio-btfiles captures a disk: it finds the used blocks and their sums and writes torrent.info.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	ucli "github.com/urfave/cli/v2"

	"ezio/lib/btinfo"
	"ezio/lib/capture"
	"ezio/lib/cli"
	"ezio/lib/clonezilla"
	"ezio/lib/partclone"
	"ezio/lib/piece"
	"ezio/lib/progress"
)

func main() { cli.Main(run) }

const manual = `Reads a filesystem or a whole disk from a device or an image file, or a partclone image from a file
or standard input, and writes torrent.info, which ezio-mktorrent makes a torrent of:

  ezio-btfiles -s /dev/sda1 | ezio-mktorrent > a.torrent
  partclone.extfs -c -s /dev/sda1 -o - | ezio-btfiles | ezio-mktorrent > a.torrent
  cat sda1.ext4-ptcl-img.gz.a* | zcat | ezio-btfiles -o t/ | ezio-mktorrent > a.torrent

With -s, which blocks are in use is asked of the partclone program for the filesystem, of a whole disk
for each partition; its partition table and boot code are captured too. Where there is none, or the
filesystem is encrypted, damaged or unknown, every block is captured, and a line on standard error
says so. Every checksum in a partclone image is verified.

A read that fails ends the capture and names the disk offset. With --rescue what cannot be read is
captured as zeros, each such place is a line on standard error of the word unreadable, disk offset and
length in bytes, separated by tabs, and the exit code is 1 although everything is written.

An image directory of Clonezilla's is described without the disk it was taken from:

  ezio-btfiles --clonezilla /home/partimag/lab --image disk.img | ezio-mktorrent > a.torrent

Its parts are unpacked by the programs that packed them. What they hold can only be described from
there, not served: ezio-seed needs the raw image that --image writes on the way, or the disk.`

const files = `DIR/torrent.info and DIR/32 hexadecimal digits are what -o writes: the description, and one file for
each extent, named by its offset on the disk. The partclone programs are looked for in PATH.`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return cli.Tool{
		Name:  "ezio-btfiles",
		Usage: "capture a disk's used blocks as torrent.info",
		Args:  "[-s DEVICE] [OPTIONS] [< IMAGE] > torrent.info",
		Text:  manual,
		More:  []cli.Section{{Title: "FILES", Text: files}},
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "source", Aliases: []string{"s"}, Usage: "capture this `DEVICE` or image file, not standard input"},
			&ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "also write a btfiles `DIR`: one file for each extent, and torrent.info"},
			&ucli.StringFlag{Name: "image", Usage: "also write a sparse raw image to `FILE`"},
			&ucli.StringFlag{Name: "clonezilla", Usage: "capture the disk whose image is in this `DIR` of Clonezilla's"},
			&ucli.StringFlag{Name: "part", Usage: "with --clonezilla: only this disk or partition, by its `NAME` there, such as sda1"},
			cli.SizeFlag("piece-length", "cut pieces of `SIZE`, a power of two; default: 256KiB to 16MiB, for a thousand pieces"),
			&ucli.BoolFlag{Name: "raw", Usage: "capture every block of the source, whatever it holds"},
			&ucli.StringFlag{Name: "fs", Usage: "the source holds this `TYPE` of filesystem, such as ext4"},
			&ucli.BoolFlag{Name: "force", Usage: "capture a source that is mounted read-write, or written to meanwhile"},
			&ucli.BoolFlag{Name: "rescue", Usage: "put zeros where the source cannot be read, list these places, and exit 1 at the end"},
		},
		Action: func(c *cli.Call) error {
			if err := check(c); err != nil {
				return err
			}
			return c.Track(true, func(r *progress.Reporter) error { return btfiles(c, r) })
		},
	}.Run(ctx, args, stdin, stdout, stderr)
}

// check finds fault with the command line.
func check(c *cli.Call) error {
	if n := c.SizeOf("piece-length"); n != 0 {
		if err := piece.CheckLength(n); err != nil {
			return cli.Usagef("--piece-length: %v", err)
		}
	}
	if fs := c.String("fs"); fs != "" {
		if c.Bool("raw") {
			return cli.Usagef("--fs and --raw exclude each other")
		}
		if _, ok := partclone.ProgramFor(fs); !ok {
			return cli.Usagef("--fs %s: partclone has no program for it", fs).
				WithHint("one of %s; or --raw", strings.Join(partclone.Types(), ", "))
		}
	}
	if c.IsSet("part") && !c.IsSet("clonezilla") {
		return cli.Usagef("--part is about an image directory: --clonezilla is missing")
	}
	if c.IsSet("clonezilla") && c.IsSet("source") {
		return cli.Usagef("--clonezilla and --source exclude each other")
	}
	if c.String("source") != "" {
		return nil
	}
	for _, name := range []string{"raw", "fs", "force", "rescue"} {
		if c.IsSet(name) {
			return cli.Usagef("--%s is about a source: -s is missing", name)
		}
	}
	if c.IsSet("clonezilla") {
		return nil
	}
	if cli.IsTerminal(c.Stdin) {
		return cli.Usagef("nothing to capture: standard input is a terminal").
			WithHint("ezio-btfiles -s DEVICE, or pipe a partclone image into it")
	}
	return nil
}

func btfiles(c *cli.Call, r *progress.Reporter) error {
	info, err := doCapture(c, r)
	r.Stop()
	var loss *capture.LossError
	if err != nil && !errors.As(err, &loss) {
		return err
	}
	var product bytes.Buffer
	if err := info.Write(&product); err != nil {
		return err
	}
	if err := cli.Emit(c.Stdout, product.Bytes(), false); err != nil {
		return err
	}
	if loss != nil {
		return lossy(c, loss)
	}
	var size int64
	for _, e := range info.Records {
		size += e.Length
	}
	what := info.Filesystem
	if info.PartitionTable != "" {
		what = "whole disk, " + info.PartitionTable
	}
	r.Done(progress.Fields{"bytes": size, "extents": len(info.Records), "pieces": len(info.Pieces), "filesystem": info.Filesystem, "partition_table": info.PartitionTable})
	r.Printf("captured %s of %s (%s): %d extents, %d pieces of %s", humanize.IBytes(uint64(size)),
		humanize.IBytes(uint64(info.DeviceSize)), what, len(info.Records), len(info.Pieces), humanize.IBytes(uint64(info.PieceLength)))
	return nil
}

// lossy ends a rescue that met unreadable sectors: the product is written, and the exit code and a
// list on standard error, whatever -q says, keep it from being taken for the source.
func lossy(c *cli.Call, loss *capture.LossError) error {
	var list bytes.Buffer
	for _, e := range loss.Lost {
		fmt.Fprintf(&list, "unreadable\t%d\t%d\n", e.Offset, e.Length)
	}
	_, _ = c.Stderr.Write(list.Bytes())
	return cli.Failf("%w", loss).WithHint("the capture was written nevertheless; do not take it for a clean one")
}

// doCapture captures standard input or --source, with its progress shown.
func doCapture(c *cli.Call, r *progress.Reporter) (*btinfo.Info, error) {
	count := &cli.Counter{}
	opt := capture.Options{
		PieceLength: c.SizeOf("piece-length"),
		Raw:         c.Bool("raw"),
		Filesystem:  c.String("fs"),
		Force:       c.Bool("force"),
		Rescue:      c.Bool("rescue"),
		Dir:         c.String("output"),
		Image:       c.String("image"),
		Log:         r.Printf,
		Progress: func(done, total int64) {
			if done == 0 {
				count.Total = total
				r.Start("capturing", count.Sample, nil)
			}
			count.Add(done - count.Done())
		},
	}
	if source := c.String("source"); source != "" {
		r.Start("looking for used blocks", nil, nil)
		info, err := capture.Source(c.Context.Context, source, opt)
		var unknown *capture.MapError
		switch {
		case errors.As(err, &unknown):
			err = cli.Failf("%w", err).WithHint("--raw captures every block, without --fs")
		case errors.Is(err, capture.ErrWritten):
			err = cli.Failf("%w", err).WithHint("stop what writes to it, and capture it again; --force captures it nevertheless")
		}
		return info, err
	}
	if dir := c.String("clonezilla"); dir != "" {
		r.Start("looking at the image directory", nil, nil)
		info, err := capture.Clonezilla(c.Context.Context, dir, c.String("part"), opt)
		var several *clonezilla.ChoiceError
		if errors.As(err, &several) {
			err = cli.Usagef("%v", err).WithHint("choose one: --part %s", several.Names[0])
		}
		return info, err
	}
	info, err := capture.Image(c.Context.Context, c.Stdin, opt)
	switch {
	case errors.Is(err, partclone.ErrEmpty):
		err = cli.Failf("standard input: %w", err).
			WithHint("pipe `partclone.X -c -s DEVICE -o -` into it, or use -s DEVICE")
	case err != nil:
		err = fmt.Errorf("standard input: %w", err)
	}
	return info, err
}
