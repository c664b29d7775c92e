// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"encoding/hex"
	"fmt"

	"github.com/urfave/cli/v2"

	"ezio/lib/metainfo"
)

// TorrentFlag is -t of the tools that read a torrent.
func TorrentFlag() cli.Flag {
	return &cli.StringFlag{Name: "torrent", Aliases: []string{"t"}, Usage: "`FILE`, - for standard input, or http or tftp URL of the torrent"}
}

// Torrent reads and checks the torrent that -t names.
func (c *Call) Torrent() (*metainfo.Torrent, error) {
	arg := c.String("torrent")
	if arg == "" {
		return nil, Usagef("no torrent: -t is missing").WithHint("%s --help", c.Tool)
	}
	return c.TorrentAt(arg)
}

// TorrentAt reads and checks the torrent at arg: a file, "-" for standard input, or a URL.
func (c *Call) TorrentAt(arg string) (*metainfo.Torrent, error) {
	if arg == "-" && IsTerminal(c.Stdin) {
		return nil, Usagef("-t -: standard input is a terminal")
	}
	b, err := c.Fetch(arg, metainfo.MaxSize)
	if err != nil {
		return nil, err
	}
	t, err := metainfo.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("torrent %s: %w", arg, err)
	}
	return t, nil
}

// Pin checks the torrent against the infohash the user expects, 40 hexadecimal digits; "" accepts
// any.
func Pin(t *metainfo.Torrent, want string) error {
	if want == "" {
		return nil
	}
	b, err := hex.DecodeString(want)
	if err != nil || len(b) != len(t.InfoHash) {
		return Usagef("--infohash %q is not 40 hexadecimal digits", want)
	}
	if metainfo.InfoHash(b) != t.InfoHash {
		return &Error{Code: Mismatch, Err: fmt.Errorf("the torrent's infohash is %s, not %s", t.InfoHash, want)}
	}
	return nil
}
