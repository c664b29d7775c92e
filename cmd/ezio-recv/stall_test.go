// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"testing"
	"time"
)

func TestStallIsToldAndToldAgain(t *testing.T) {
	s := stall{after: 60 * time.Second}
	begin := time.Now()
	for _, c := range []struct {
		at   int // seconds
		down int64
		want time.Duration
	}{
		{0, 0, 0}, {59, 0, 0}, {60, 0, 60 * time.Second}, {61, 0, 0}, {119, 0, 0},
		{120, 0, 120 * time.Second}, {130, 5, 0}, {189, 5, 0}, {190, 5, 60 * time.Second},
		{191, 6, 0}, {250, 6, 0}, {300, 7, 0}, {359, 7, 0}, {361, 7, 61 * time.Second},
	} {
		if got := s.look(begin.Add(time.Duration(c.at)*time.Second), c.down); got != c.want {
			t.Errorf("after %d s: %v, want %v", c.at, got, c.want)
		}
	}
}
