// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/semaphore"

	"ezio/lib/cli"
	"ezio/lib/swarm"
)

// What a receiver takes, in bytes: the pieces that lib/swarm receives at a time (swarm.Buffers) and
// those that lib/hasher has in hand, for each job, and the rest once.
const (
	inHand     = 2        // pieces,
	handful    = 16 << 20 // or so many bytes of small ones
	rest       = 48 << 20
	leastFiles = 32 // for one job
	moreFiles  = 16 // for each job more
)

// hashing is what lib/hasher takes.
func hashing(length int64) int64 { return max(inHand*length, handful) }

// needed is the least for pieces of a length (bytes), with which they come more slowly than they could.
func needed(length int64) int64 {
	least, _ := swarm.Buffers(length)
	return least + hashing(length) + rest
}

// weight is how much a job takes if there is as much.
func weight(length int64) int64 {
	_, most := swarm.Buffers(length)
	return most + hashing(length)
}

// A room is the memory and the files that this process may use. Jobs that together need more memory
// take turns: three quarters of it, above which the garbage collector would work without end, are
// given to all together. One that would take more makes do with that.
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

// buffers is how much of its memory a job has for pieces that are being received.
func (r *room) buffers(length int64) int64 {
	least, _ := swarm.Buffers(length)
	return max(least, min(weight(length), r.size)-hashing(length))
}

func (r *room) leave(length int64) { r.taken.Release(min(weight(length), r.size)) }
