// SPDX-License-Identifier: GPL-2.0-or-later

package sha1lanes

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

var kernels = available(func(f ...cpuid.FeatureID) bool { return cpuid.CPU.Supports(f...) })

// available is the kernels that a CPU with these features has. From how many lanes on a wide one pays
// was measured: all its lanes cost what one does.
func available(has func(...cpuid.FeatureID) bool) set {
	var s set
	sha := has(cpuid.SHA, cpuid.SSSE3, cpuid.SSE4)
	if has(cpuid.AVX512F, cpuid.AVX512BW) {
		least := 4
		if sha {
			least = 6
		}
		s = append(s, kernel{"avx512", 16, least, blocks16})
	}
	switch {
	case sha:
		s = append(s, kernel{"shani", 2, 2, pair})
	case has(cpuid.AVX2):
		s = append(s, kernel{"avx2", 8, 4, blocks8})
	}
	return s
}

// pair is blocks2 as a kernel.
func pair(h *chains, p *pointers, n int) {
	var h0, h1 [5]uint32
	for w := range h {
		h0[w], h1[w] = h[w][0], h[w][1]
	}
	blocks2(&h0, &h1, p[0], p[1], n)
	for w := range h {
		h[w][0], h[w][1] = h0[w], h1[w]
	}
}

//go:noescape
func blocks16(h *chains, p *pointers, n int)

//go:noescape
func blocks8(h *chains, p *pointers, n int)

//go:noescape
func blocks2(h0, h1 *[5]uint32, p0, p1 unsafe.Pointer, n int)
