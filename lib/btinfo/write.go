// SPDX-License-Identifier: GPL-2.0-or-later

package btinfo

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"ezio/lib/extent"
	"ezio/lib/piece"
)

// Write prints the stream as partclone 0.3.18 does, with our additional keys where they are known.
// Sums come after the records they cover; a reader that knows only partclone's keys reads it too.
func (in *Info) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	if in.BlockSize > 0 {
		fmt.Fprintf(b, "block_size: %d\n", in.BlockSize)
	}
	if in.BlocksTotal > 0 {
		fmt.Fprintf(b, "blocks_total: %d\n", in.BlocksTotal)
	}
	if in.PieceLength != piece.Partclone {
		fmt.Fprintf(b, "piece_length: %d\n", in.PieceLength)
	}
	if in.DeviceSize > 0 {
		fmt.Fprintf(b, "device_size: %d\n", in.DeviceSize)
	}
	if in.Filesystem != "" {
		fmt.Fprintf(b, "filesystem: %s\n", oneLine(in.Filesystem))
	}
	if in.PartitionTable != "" {
		fmt.Fprintf(b, "partition_table: %s\n", oneLine(in.PartitionTable))
	}
	if in.Source != "" {
		fmt.Fprintf(b, "source: %s\n", oneLine(in.Source))
	}
	for _, e := range in.Records {
		fmt.Fprintf(b, "offset: %s\nlength: %s\n", extent.Name(e.Offset), extent.Name(e.Length))
	}
	for _, h := range in.Pieces {
		fmt.Fprintf(b, "sha1: %s\n", h)
	}
	return b.Flush()
}

// oneLine keeps a path with a line break in it from forging records.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
