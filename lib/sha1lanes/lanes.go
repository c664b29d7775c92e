// SPDX-License-Identifier: GPL-2.0-or-later

// Package sha1lanes computes the SHA-1 (FIPS 180-4) of several messages at once on one core.
//
// A block's steps depend each on the one before, so that one message leaves most of a core idle,
// with SHA instructions as without. Messages do not depend on each other: a kernel takes a block
// of each of its lanes through the steps together. There are three of them for amd64, in assembly:
//
//	avx512  16 lanes  AVX-512 F and BW
//	avx2     8 lanes  AVX2
//	shani    2 lanes  the SHA extensions
//
// Against crypto/sha1 of the same bytes (go test -bench . ./lib/sha1lanes; AMD EPYC of family 26, one
// core): avx512 5.5 times, shani 1.9 times, and avx2 2.6 times as fast as crypto/sha1 is without the
// SHA extensions. Elsewhere, and for a message that is alone, crypto/sha1 does the work.
//
// Invariant: a sum is crypto/sha1's, whatever the CPU and the other messages.
package sha1lanes

import "crypto/sha1"

// Size of a sum in bytes.
const Size = sha1.Size

// Width is how many messages of about the same length this CPU is best given at once; 1 when it gains
// nothing by more than one.
func Width() int { return kernels.width() }

// Sums sets sums[i] to the SHA-1 of messages[i]; there must be as many of one as of the other. It is
// fastest when there are a multiple of Width and their lengths are alike.
func Sums[H ~[Size]byte](sums []H, messages [][]byte) {
	kernels.sums(messages, func(i int, sum [Size]byte) { sums[i] = sum })
}

// A kernel takes n blocks of each of its first lanes, from where p points, through the hash: h has their
// chaining values, word by word.
type kernel struct {
	name  string
	lanes int
	least int // of how many messages on it is faster than those after it
	run   func(h *chains, p *pointers, n int)
}

// A set is the kernels that the CPU has, widest first.
type set []kernel

func (s set) width() int {
	if len(s) == 0 {
		return 1
	}
	return s[0].lanes
}

// best is the kernel for n messages; nil is crypto/sha1.
func (s set) best(n int) *kernel {
	for i := range s {
		if n >= s[i].least {
			return &s[i]
		}
	}
	return nil
}

func (s set) sums(messages [][]byte, put func(int, [Size]byte)) {
	k := s.best(len(messages))
	if k == nil {
		for i, m := range messages {
			put(i, sha1.Sum(m))
		}
		return
	}
	b := &batch{set: s, kernel: k, messages: messages, put: put}
	b.run()
}
