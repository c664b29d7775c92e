// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"strings"
	"testing"

	"ezio/lib/cli"
)

func TestEnoughRoom(t *testing.T) {
	for _, c := range []struct {
		length, memory, files int64
		want                  string
	}{
		{256 << 10, 192 << 20, 64, ""},
		{4 << 20, 192 << 20, 64, ""},
		{16 << 20, 192 << 20, 64, ""},
		{16 << 20, 112 << 20, 64, "there are 112 MiB of memory, and receiving pieces of 16 MiB needs 128 MiB"},
		{64 << 20, 1 << 30, 64, ""},
		{64 << 20, 256 << 20, 64, "needs 368 MiB"},
		{1 << 20, 80 << 20, 64, ""},
		{1 << 20, 64 << 20, 1024, "there are 64 MiB of memory"},
		{1 << 20, 1 << 30, 20, "only 20 files may be open"},
	} {
		err := newRoom(c.memory, c.files, 1).enough(c.length)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || cli.Hint(err) == "") {
			t.Errorf("%d, %d, %d: %v", c.length, c.memory, c.files, err)
		}
	}
}
