// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"github.com/dustin/go-humanize"

	"ezio/lib/cli"
)

// What a receiver takes, in bytes: the pieces that lib/swarm receives at a time (64 MiB of small
// ones, ten of partclone's size, four of larger ones), those that lib/hasher has in hand, the rest.
const (
	smallPieces = 64 << 20
	inHand      = 2 // pieces
	rest        = 48 << 20
	leastFiles  = 32
)

func needed(length int64) int64 {
	room := smallPieces + length
	switch {
	case length > 16<<20:
		room = 4 * length
	case length > 4<<20:
		room = 10 * length
	}
	return room + inHand*length + rest
}

// enoughRoom says whether the process may use what pieces of that length (bytes) need. One that may
// not would be killed without a word, in the middle of the job.
func enoughRoom(length, memory, files int64) error {
	if need := needed(length); memory < need {
		return cli.Failf("there are %s of memory, and receiving pieces of %s needs %s",
			humanize.IBytes(uint64(memory)), humanize.IBytes(uint64(length)), humanize.IBytes(uint64(need))).
			WithHint("raise the limit, or cut the image in smaller pieces: ezio-mktorrent -d SOURCE --piece-length 1MiB")
	}
	if files < leastFiles {
		return cli.Failf("only %d files may be open, and receiving needs %d", files, leastFiles).
			WithHint("ulimit -n 1024")
	}
	return nil
}
