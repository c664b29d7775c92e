// SPDX-License-Identifier: GPL-2.0-or-later

package store

import (
	"context"
	"slices"
	"time"
)

// A writeBacker is a Target that can be asked to take over what was written to it, such as a
// *disk.Target.
type writeBacker interface {
	WriteBack(off, n int64) error
}

const writeBackEvery = time.Second

// WriteBack has the disk take what was Put about every second, until ctx is done. Left to itself
// the kernel keeps a write for half a minute and more, so that a dying disk is noticed when the
// whole image has been downloaded in vain, and without the place. A failure ends the store as a
// failed write does.
func (s *Store) WriteBack(ctx context.Context) {
	for tick := time.NewTicker(writeBackEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			if s.writeBack(ctx) != nil {
				tick.Stop()
				return
			}
		}
	}
}

// writeBack goes through what was Put since the last time, in the order in which it lies on the
// disk: neighbours are then taken over in one sweep.
func (s *Store) writeBack(ctx context.Context) error {
	disk, ok := s.target.(writeBacker)
	if !ok {
		return nil
	}
	s.mu.Lock()
	put := s.put
	s.put = nil
	s.mu.Unlock()
	slices.Sort(put)
	for k, i := range put {
		if ctx.Err() != nil { // Sync takes care of the rest
			s.mu.Lock()
			s.put = append(s.put, put[k:]...)
			s.mu.Unlock()
			return nil
		}
		start, n := s.torrent.Layout.Span(i)
		for e := range s.torrent.Map.Slices(start, n) {
			if err := disk.WriteBack(e.Offset, e.Length); err != nil {
				return s.fail(err)
			}
		}
	}
	return nil
}
