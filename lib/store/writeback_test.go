// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ezio/lib/extent"
)

// lazyDisk accepts every write and finds out later which it could not keep.
type lazyDisk struct {
	ramDisk
	bad  int64 // disk offset
	took []extent.Extent
}

func (d *lazyDisk) WriteBack(off, n int64) error {
	if off <= d.bad && d.bad < off+n {
		return fmt.Errorf("sync x at %#x: %w", off, errIO)
	}
	d.took = append(d.took, extent.Extent{Offset: off, Length: n})
	return nil
}

func TestWriteBackTakesWhatWasPutOnceAndInOrder(t *testing.T) {
	tor, data := torrent(t)
	synctest.Test(t, func(t *testing.T) {
		d := &lazyDisk{ramDisk: ramDisk{b: make([]byte, tor.Map.End())}, bad: -1}
		s := New(tor, d, "x")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.WriteBack(ctx)
		for _, i := range []int{4, 2, 3} {
			if err := s.Put(i, data[i]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * writeBackEvery)
		synctest.Wait()
		var want []extent.Extent
		for i := 2; i <= 4; i++ {
			start, n := tor.Layout.Span(i)
			for e := range tor.Map.Slices(start, n) {
				want = append(want, e)
			}
		}
		if !slices.Equal(d.took, want) {
			t.Errorf("took %v, want %v", d.took, want)
		}
	})
}

func TestWriteBackFailureEndsTheStore(t *testing.T) {
	tor, data := torrent(t)
	synctest.Test(t, func(t *testing.T) {
		start, _ := tor.Layout.Span(3)
		d := &lazyDisk{ramDisk: ramDisk{b: make([]byte, tor.Map.End())}}
		for e := range tor.Map.Slices(start, 1) {
			d.bad = e.Offset + 100
		}
		s := New(tor, d, "x")
		go s.WriteBack(t.Context())
		for i := range 5 {
			if err := s.Put(i, data[i]); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-s.Failed():
		case <-time.After(2 * writeBackEvery):
			t.Fatal("not noticed")
		}
		if err := s.Sync(); !errors.Is(err, errIO) || d.synced != 0 {
			t.Errorf("sync after it: %v, asked %d times", err, d.synced)
		}
		if err := s.Put(0, data[0]); !errors.Is(err, errIO) {
			t.Errorf("put after it: %v", err)
		}
	})
}

func TestSyncSaysWhereItFails(t *testing.T) {
	tor, data := torrent(t)
	start, _ := tor.Layout.Span(2)
	d := &lazyDisk{ramDisk: ramDisk{b: make([]byte, tor.Map.End()), badSync: true}}
	for e := range tor.Map.Slices(start, 1) {
		d.bad = e.Offset
	}
	s := New(tor, d, "x")
	for i := range 5 {
		if err := s.Put(i, data[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("at %#x", d.bad)) || d.synced != 0 {
		t.Errorf("error %v, %d syncs", err, d.synced)
	}
}
