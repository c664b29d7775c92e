// SPDX-License-Identifier: GPL-2.0-or-later

// Ezio-verify compares a disk with the torrent it was deployed from.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	ucli "github.com/urfave/cli/v2"

	"ezio/lib/cli"
	"ezio/lib/metainfo"
	"ezio/lib/progress"
	"ezio/lib/store"
	"ezio/lib/verify"
)

func main() { cli.Main(run) }

const manual = `Hashes every piece on the device, image, btfiles directory or uncompressed partclone image
and compares it with the torrent.
Each disk range that differs is a line on standard output: piece, disk offset and length in bytes,
separated by tabs. Exit code 0 means that every byte of the image is right, 3 that some is not;
ezio-recv with the same -t and -d repairs just that.

  ezio-verify -t a.torrent -d /dev/sda1`

const files = `The target is only read. It may be mounted, but then what is written to it meanwhile shows as a
difference.`

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return cli.Tool{
		Name:  "ezio-verify",
		Usage: "compare a disk with its torrent",
		Args:  "-t TORRENT -d TARGET",
		Text:  manual,
		More:  []cli.Section{{Title: "FILES", Text: files}},
		Flags: []ucli.Flag{
			cli.TorrentFlag(),
			&ucli.StringFlag{Name: "target", Aliases: []string{"d"}, Usage: "`DEVICE`, image file, btfiles directory or partclone image"},
			&ucli.BoolFlag{Name: "json", Usage: "print bad ranges as JSON objects, one a line"},
		},
		Action: func(c *cli.Call) error {
			return c.Track(true, func(r *progress.Reporter) error { return check(c, r) })
		},
	}.Run(ctx, args, stdin, stdout, stderr)
}

func check(c *cli.Call, r *progress.Reporter) error {
	path := c.String("target")
	if path == "" {
		return cli.Usagef("no target: -d is missing").WithHint("ezio-verify --help")
	}
	t, err := c.Torrent()
	if err != nil {
		return err
	}
	disk, err := store.OpenSource(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	if disk.Size() < t.Map.End() {
		return cli.Refusef("refuse %s: it has %d bytes, the image needs %d", path, disk.Size(), t.Map.End())
	}
	out, res, err := compare(c, r, t, disk, path)
	if err != nil {
		return err
	}
	if len(out) > 0 {
		if err := cli.Emit(c.Stdout, out, false); err != nil {
			return err
		}
	}
	return verdict(r, t, path, res)
}

// compare returns the lines for standard output. They are printed only when the comparison got to
// its end.
func compare(c *cli.Call, r *progress.Reporter, t *metainfo.Torrent, disk store.Source, path string) ([]byte, verify.Result, error) {
	count := &cli.Counter{Total: t.Layout.Size}
	r.Start("verifying", count.Sample, progress.Fields{"infohash": t.InfoHash.String()})
	defer r.Stop()
	var out bytes.Buffer
	line := func(b verify.Range) error {
		_, err := fmt.Fprintf(&out, "%d\t%d\t%d\n", b.Piece, b.Extent.Offset, b.Extent.Length)
		return err
	}
	if c.Bool("json") {
		enc := json.NewEncoder(&out)
		line = func(b verify.Range) error { return enc.Encode(newJSONRange(b)) }
	}
	original, moved := store.AsCaptured(t, disk)
	res, err := verify.Disk(c.Context.Context, t, original, path, line, count.Add)
	if moved && err == nil && res.BadPieces == 0 { // else the table may be another disk's
		r.Printf("%s is larger than the disk captured: its GPT is right, with the backup at its own end", path)
	}
	return out.Bytes(), res, err
}

type jsonRange struct {
	Piece  int    `json:"piece"`
	Offset int64  `json:"offset"` // disk offset, bytes
	Length int64  `json:"length"` // bytes
	Error  string `json:"error,omitempty"`
}

func newJSONRange(b verify.Range) jsonRange {
	j := jsonRange{Piece: b.Piece, Offset: b.Extent.Offset, Length: b.Extent.Length}
	if b.Err != nil {
		j.Error = b.Err.Error()
	}
	return j
}

func verdict(r *progress.Reporter, t *metainfo.Torrent, path string, res verify.Result) error {
	switch {
	case res.Unreadable != nil:
		return cli.Failf("%w (%d of %d pieces are bad)", res.Unreadable, res.BadPieces, len(t.Pieces))
	case res.BadPieces > 0:
		return (&cli.Error{Code: cli.Mismatch, Err: fmt.Errorf("%s does not match: %d of %d pieces (%s) differ",
			path, res.BadPieces, len(t.Pieces), humanize.IBytes(uint64(res.BadBytes)))}).
			WithHint("ezio-recv with the same -t and -d fetches just these pieces")
	}
	r.Done(progress.Fields{"pieces": len(t.Pieces), "bytes": t.Layout.Size})
	r.Printf("%s matches: %d pieces, %s", path, len(t.Pieces), humanize.IBytes(uint64(t.Layout.Size)))
	return nil
}
