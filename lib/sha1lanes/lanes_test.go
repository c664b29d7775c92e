// SPDX-License-Identifier: GPL-2.0-or-later

package sha1lanes

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sets is every choice of this CPU's kernels: none, each alone for whatever number of messages, and all.
func sets() map[string]set {
	all := map[string]set{"crypto/sha1": nil, "all": kernels}
	for _, k := range testable() {
		k.least = 1
		all[k.name] = set{k}
	}
	return all
}

func (s set) of(messages [][]byte) [][Size]byte {
	sums := make([][Size]byte, len(messages))
	s.sums(messages, func(i int, sum [Size]byte) { sums[i] = sum })
	return sums
}

func check(t *testing.T, s set, messages [][]byte) {
	t.Helper()
	for i, got := range s.of(messages) {
		if want := sha1.Sum(messages[i]); got != want {
			t.Fatalf("message %d of %d, %d bytes: %x, want %x", i, len(messages), len(messages[i]), got, want)
		}
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// The examples of FIPS 180 that everybody's SHA-1 is tried with.
func TestStandard(t *testing.T) {
	for _, c := range []struct{ message, want string }{
		{"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
		{strings.Repeat("a", 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
	} {
		for name, s := range sets() {
			for n := 1; n <= maxLanes+1; n++ {
				messages := make([][]byte, n)
				for i := range messages {
					messages[i] = []byte(c.message)
				}
				for i, got := range s.of(messages) {
					if hex.EncodeToString(got[:]) != c.want {
						t.Fatalf("%s: message %d of %d, %d bytes: %x", name, i, n, len(c.message), got)
					}
				}
			}
		}
	}
}

// Every length up to three blocks and a bit, in each lane.
func TestEveryLength(t *testing.T) {
	b := noise(4 * blockSize)
	for name, s := range sets() {
		t.Run(name, func(t *testing.T) {
			for n := range 3*blockSize + 9 {
				messages := make([][]byte, maxLanes)
				for i := range messages {
					messages[i] = b[i : i+n] // at any alignment
				}
				check(t, s, messages)
			}
		})
	}
}

// Any number of messages of different lengths: lanes end at different times, and others take them over.
func TestMixture(t *testing.T) {
	b := noise(1 << 20)
	for name, s := range sets() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for n := range 3 * maxLanes {
				messages := make([][]byte, n)
				for i := range messages {
					k := r.IntN(1 << r.IntN(18))
					at := r.IntN(len(b) - k)
					messages[i] = b[at : at+k]
				}
				check(t, s, messages)
			}
			// A long one beside short ones, in each place; and all of the length of pieces but the last.
			for at := range maxLanes {
				messages := make([][]byte, maxLanes)
				for i := range messages {
					messages[i] = b[:i]
				}
				messages[at] = b[:700_000]
				check(t, s, messages)
			}
			check(t, s, [][]byte{b[:256<<10], b[256<<10 : 512<<10], b[512<<10 : 768<<10], b[768<<10 : 768<<10+12345]})
		})
	}
}

// The sums of a message do not change with those beside it, and no byte is read that is not in one:
// behind each lies a page that must not be touched.
func TestNothingBeyondIsRead(t *testing.T) {
	page := unix.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*maxLanes*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	copy(mem, noise(len(mem)))
	for i := range maxLanes {
		if err := unix.Mprotect(mem[(2*i+1)*page:(2*i+2)*page], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range sets() {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 127, 128, page - 1, page} {
				messages := make([][]byte, maxLanes)
				for i := range messages {
					end := (2*i + 1) * page
					messages[i] = mem[end-max(n-i, 0) : end]
				}
				check(t, s, messages)
			}
		})
	}
}

func TestSumsOfAnyHashType(t *testing.T) {
	type hash [20]byte
	messages := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	sums := make([]hash, 3)
	Sums(sums, messages)
	for i, m := range messages {
		if sums[i] != sha1.Sum(m) {
			t.Errorf("sum of %q: %x", m, sums[i])
		}
	}
	Sums[hash](nil, nil)
}

func TestBest(t *testing.T) {
	wide, narrow := kernel{name: "wide", lanes: 16, least: 6}, kernel{name: "narrow", lanes: 2, least: 2}
	for _, c := range []struct {
		s    set
		n    int
		want string
	}{
		{nil, 100, ""},
		{set{wide, narrow}, 1, ""},
		{set{wide, narrow}, 2, "narrow"},
		{set{wide, narrow}, 5, "narrow"},
		{set{wide, narrow}, 6, "wide"},
		{set{wide}, 5, ""},
	} {
		got := ""
		if k := c.s.best(c.n); k != nil {
			got = k.name
		}
		if got != c.want {
			t.Errorf("%d kernels, %d messages: %q, want %q", len(c.s), c.n, got, c.want)
		}
	}
	if w := (set{wide, narrow}).width(); w != 16 {
		t.Errorf("width %d", w)
	}
	if w := set(nil).width(); w != 1 {
		t.Errorf("width of none %d", w)
	}
}

// FuzzSums cuts data into messages at the places that cuts names, and compares.
func FuzzSums(f *testing.F) {
	f.Add(noise(1000), []byte{0, 63, 64, 65, 1})
	f.Add(noise(5000), []byte(strings.Repeat("\x40", 40)))
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		var messages [][]byte
		for _, n := range cuts {
			k := min(int(n)*3, len(data))
			messages = append(messages, data[:k])
			data = data[k:]
		}
		messages = append(messages, data)
		for _, s := range sets() {
			check(t, s, messages)
		}
	})
}

// BenchmarkSums is each kernel with all its lanes full, and crypto/sha1; pieces of 256 KiB, which stay in
// the second-level cache or near it.
func BenchmarkSums(b *testing.B) {
	const length = 256 << 10
	data := noise(maxLanes * length)
	for name, s := range sets() {
		for _, n := range []int{1, 2, 4, 6, 8, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				messages := make([][]byte, n)
				for i := range messages {
					messages[i] = data[i*length:][:length]
				}
				b.SetBytes(int64(n) * length)
				for b.Loop() {
					s.of(messages)
				}
			})
		}
	}
}
