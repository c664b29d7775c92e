// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"log/slog"
	"testing"
)

func TestLogIsOneLineEach(t *testing.T) {
	var got []string
	printf := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	l := newLog(printf, slog.LevelInfo).With("torrent", "a b")
	l.Debug("not this")
	l.Info("peer joined", "peer", "10.0.0.3:6881")
	l.WithGroup("g").Warn("odd", "err", "two\nlines")
	want := []string{
		`peer joined torrent="a b" peer=10.0.0.3:6881`,
		`warn: odd torrent="a b" g.err="two\nlines"`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}
