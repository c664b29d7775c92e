// SPDX-License-Identifier: GPL-2.0-or-later

package sha1lanes

import (
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

func TestAvailable(t *testing.T) {
	sha := []cpuid.FeatureID{cpuid.SSSE3, cpuid.SSE4, cpuid.SHA}
	wide := []cpuid.FeatureID{cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW}
	for _, c := range []struct {
		has  []cpuid.FeatureID
		want string
	}{
		{nil, ""},
		{[]cpuid.FeatureID{cpuid.SHA}, ""}, // none of the instructions that go with it
		{[]cpuid.FeatureID{cpuid.AVX512F}, ""},
		{[]cpuid.FeatureID{cpuid.AVX2}, "avx2"},
		{sha, "shani"},
		{append(slices.Clone(sha), cpuid.AVX2), "shani"},
		{wide, "avx512 avx2"},
		{append(slices.Clone(sha), wide...), "avx512 shani"},
	} {
		var names []string
		for _, k := range available(func(want ...cpuid.FeatureID) bool {
			return !slices.ContainsFunc(want, func(f cpuid.FeatureID) bool { return !slices.Contains(c.has, f) })
		}) {
			names = append(names, k.name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("with %v: %q, want %q", c.has, got, c.want)
		}
	}
}

// testable is every kernel that this CPU can run, also the one it has no use for.
func testable() set {
	s := available(func(f ...cpuid.FeatureID) bool {
		return !slices.Contains(f, cpuid.SHA) && cpuid.CPU.Supports(f...)
	})
	for _, k := range kernels {
		if !slices.ContainsFunc(s, func(other kernel) bool { return other.name == k.name }) {
			s = append(s, k)
		}
	}
	return s
}
