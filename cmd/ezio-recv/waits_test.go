// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ezio/lib/progress"
)

func TestRemind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := progress.New(progress.Config{Mode: progress.Plain, Tool: "ezio-recv", Stderr: &out})
		stop := remind(r, "the torrent")
		time.Sleep(4 * time.Second)
		stop()
		if out.Len() > 0 {
			t.Errorf("after four seconds: %q", out.String())
		}
		stop = remind(r, "the torrent")
		time.Sleep(26 * time.Second)
		stop()
		want := "ezio-recv: waiting for the torrent, since 5.0 s\n" +
			"ezio-recv: waiting for the torrent, since 15 s\n" +
			"ezio-recv: waiting for the torrent, since 25 s\n"
		if out.String() != want {
			t.Errorf("%q", out.String())
		}
	})
}

func TestLull(t *testing.T) {
	now := time.Unix(0, 0)
	var l lull
	at := func(seconds int, s progress.Sample) string {
		return l.waits(now.Add(time.Duration(seconds)*time.Second), s)
	}
	for _, c := range []struct {
		seconds int
		s       progress.Sample
		want    string
	}{
		{0, progress.Sample{Total: 9, Peers: 1}, ""},
		{4, progress.Sample{Total: 9, Peers: 1}, ""},
		{5, progress.Sample{Total: 9, Peers: 1}, "the one connected peer"},
		{6, progress.Sample{Total: 9, Peers: 3}, "none of the 3"},
		{7, progress.Sample{Total: 9, Peers: 3, Down: 1}, ""},
		{11, progress.Sample{Total: 9, Peers: 3, Down: 1}, ""},
		{12, progress.Sample{Total: 9, Peers: 3, Down: 1}, "none of the 3"},
		{30, progress.Sample{Total: 9, Done: 9, Peers: 3, Down: 1}, ""},
	} {
		if got := at(c.seconds, c.s); got == "" != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("after %d s: %q, want %q", c.seconds, got, c.want)
		}
	}
}
