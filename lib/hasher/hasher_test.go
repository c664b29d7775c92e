// SPDX-License-Identifier: GPL-2.0-or-later

package hasher

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"ezio/lib/piece"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func data(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestEachIsInOrderAndRight(t *testing.T) {
	src := data(10*piece.MinLength + 77)
	l := piece.Layout{Length: piece.MinLength, Size: int64(len(src))}
	for _, workers := range []int{1, 2, 7} {
		for _, which := range [][]int{nil, {}, {0}, {3, 4, 10}} {
			want := which
			if which == nil {
				for i := range l.Count() {
					want = append(want, i)
				}
			}
			var got []int
			err := Each(context.Background(), bytes.NewReader(src), l, which, Options{Workers: workers}, func(r Result) error {
				off, n := l.Span(r.Index)
				if r.Err != nil || r.Bytes != n || r.Sum != sha1.Sum(src[off:off+n]) {
					t.Errorf("piece %d: %+v", r.Index, r)
				}
				got = append(got, r.Index)
				return nil
			})
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d workers, %v: %v, %v", workers, which, got, err)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("order %v, want %v", got, want)
				}
			}
		}
	}
}

func TestStreamCutsAnyReader(t *testing.T) {
	for _, n := range []int{0, 1, piece.MinLength, piece.MinLength + 1, 5 * piece.MinLength} {
		src := data(n)
		for _, r := range []io.Reader{bytes.NewReader(src), iotest.HalfReader(bytes.NewReader(src)), iotest.DataErrReader(bytes.NewReader(src))} {
			sums, total, err := Stream(context.Background(), r, piece.MinLength, Options{}, nil)
			if err != nil || total != int64(n) {
				t.Fatalf("%d bytes: total %d, %v", n, total, err)
			}
			l := piece.Layout{Length: piece.MinLength, Size: int64(n)}
			if len(sums) != l.Count() {
				t.Fatalf("%d bytes: %d sums, want %d", n, len(sums), l.Count())
			}
			for i, h := range sums {
				off, k := l.Span(i)
				if h != sha1.Sum(src[off:off+k]) {
					t.Fatalf("%d bytes: sum %d", n, i)
				}
			}
		}
	}
}

// badAt is a disk with one unreadable byte.
type badAt struct {
	*bytes.Reader
	at int64
}

var errBad = errors.New("bad sector")

func (b badAt) ReadAt(p []byte, off int64) (int, error) {
	if off <= b.at && b.at < off+int64(len(p)) {
		n, _ := b.Reader.ReadAt(p[:b.at-off], off)
		return n, errBad
	}
	return b.Reader.ReadAt(p, off)
}

func TestUnreadablePieceDoesNotStopTheRest(t *testing.T) {
	src := data(6 * piece.MinLength)
	l := piece.Layout{Length: piece.MinLength, Size: int64(len(src))}
	var bad, good int
	err := Each(context.Background(), badAt{bytes.NewReader(src), 2*piece.MinLength + 5}, l, nil, Options{Workers: 1}, func(r Result) error {
		if off, n := l.Span(r.Index); r.Err == nil && r.Sum != sha1.Sum(src[off:off+n]) {
			t.Errorf("piece %d: wrong sum", r.Index)
		}
		if r.Err != nil {
			if r.Index != 2 || !errors.Is(r.Err, errBad) {
				t.Errorf("piece %d: %v", r.Index, r.Err)
			}
			bad++
		} else {
			good++
		}
		return nil
	})
	if err != nil || bad != 1 || good != 5 {
		t.Fatalf("%d bad, %d good, %v", bad, good, err)
	}
	// A source that ends early is an error, not a short piece.
	err = Each(context.Background(), bytes.NewReader(src[:3*piece.MinLength-1]), l, []int{2}, Options{}, func(r Result) error { return r.Err })
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("early end: %v", err)
	}
}

func TestEndsEarlyWithoutLeftovers(t *testing.T) {
	src := data(64 * piece.MinLength)
	l := piece.Layout{Length: piece.MinLength, Size: int64(len(src))}
	stop := errors.New("enough")
	n := 0
	err := Each(context.Background(), bytes.NewReader(src), l, nil, Options{Workers: 4}, func(Result) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 {
		t.Fatalf("fn's error: %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n = 0
	err = Each(ctx, bytes.NewReader(src), l, nil, Options{Workers: 4}, func(Result) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Fatalf("cancelled: %v after %d", err, n)
	}
	if _, _, err := Stream(context.Background(), io.MultiReader(bytes.NewReader(src), iotest.ErrReader(errBad)), piece.MinLength, Options{}, nil); !errors.Is(err, errBad) {
		t.Fatalf("stream error: %v", err)
	}
}

func TestBuffersAreShared(t *testing.T) {
	for _, c := range []struct{ buffers, cores, width, workers, batch int }{
		{8, 2, 16, 3, 2},
		{8, 64, 16, 8, 1},
		{2, 64, 16, 2, 1},
		{1, 2, 2, 1, 1},
		{128, 2, 16, 3, 16},
		{128, 2, 1, 3, 1},
		{512, 64, 16, 65, 7},
	} {
		workers, batch := divide(c.buffers, c.cores, c.width)
		if workers != c.workers || batch != c.batch {
			t.Errorf("%+v: %d workers with %d each", c, workers, batch)
		}
	}
	for _, c := range []struct {
		opt    Options
		length int64
		pieces int
		most   int64 // bytes in all
	}{
		{Options{Workers: 2}, 16 << 20, 1000, 128 << 20},
		{Options{Workers: 64}, 16 << 20, 1000, 128 << 20},
		{Options{Workers: 64}, 64 << 20, 1000, 128 << 20},
		{Options{Workers: 2}, 256 << 10, 1, 256 << 10},
		{Options{Workers: 1}, 1 << 20, 5, 5 << 20},
		{Options{Workers: 4, Memory: 10 << 20}, 1 << 20, 1000, 10 << 20},
		{Options{Workers: 1, Memory: 1}, 64 << 20, 1000, 128 << 20},
	} {
		workers, batch := c.opt.share(c.length, c.pieces)
		if got := int64(workers*batch) * c.length; got > c.most || workers < 1 || batch < 1 {
			t.Errorf("%+v, pieces of %d: %d workers with %d each", c.opt, c.length, workers, batch)
		}
	}
}
