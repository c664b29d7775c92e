// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/semaphore"

	"ezio/lib/cli"
)

// What a receiver takes, in bytes: the pieces that lib/swarm receives at a time (64 MiB of small
// ones, ten of partclone's size, four of larger ones) and those that lib/hasher has in hand, for
// each job, and the rest once.
const (
	smallPieces = 64 << 20
	inHand      = 2 // pieces
	rest        = 48 << 20
	leastFiles  = 32 // for one job
	moreFiles   = 16 // for each job more
)

func needed(length int64) int64 { return weight(length) + rest }

func weight(length int64) int64 {
	room := smallPieces + length
	switch {
	case length > 16<<20:
		room = 4 * length
	case length > 4<<20:
		room = 10 * length
	}
	return room + inHand*length
}

// A room is the memory and the files that this process may use. Jobs that together need more memory
// take turns: three quarters of it, above which the garbage collector would work without end, are
// given to all together, and whatever it needs to a single one.
type room struct {
	memory, files int64
	jobs          int
	size          int64
	taken         *semaphore.Weighted
}

func newRoom(memory, files int64, jobs int) *room {
	size := max(1, memory/4*3-rest)
	return &room{memory: memory, files: files, jobs: jobs, size: size, taken: semaphore.NewWeighted(size)}
}

// enough says whether the process may use what pieces of that length (bytes) need. One that may not
// would be killed without a word, in the middle of the job.
func (r *room) enough(length int64) error {
	if need := needed(length); r.memory < need {
		return cli.Failf("there are %s of memory, and receiving pieces of %s needs %s",
			humanize.IBytes(uint64(r.memory)), humanize.IBytes(uint64(length)), humanize.IBytes(uint64(need))).
			WithHint("raise the limit, or cut the image in smaller pieces: ezio-mktorrent -d SOURCE --piece-length 1MiB")
	}
	if need := int64(leastFiles + moreFiles*(r.jobs-1)); r.files < need {
		return cli.Failf("only %d files may be open, and receiving needs %d", r.files, need).
			WithHint("ulimit -n 1024")
	}
	return nil
}

// atOnce takes the memory that pieces of that length need, if it is free now; wait takes it when
// other jobs have given it back. leave gives it back.
func (r *room) atOnce(length int64) bool { return r.taken.TryAcquire(min(weight(length), r.size)) }

func (r *room) wait(ctx context.Context, length int64) error {
	return r.taken.Acquire(ctx, min(weight(length), r.size))
}

func (r *room) leave(length int64) { r.taken.Release(min(weight(length), r.size)) }
