// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ezio/lib/cli"
	"ezio/lib/conf"
)

func TestSameTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.img", "b.img", "dir/a.img"} {
		os.MkdirAll(filepath.Dir(name), 0o755)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("a.img", "link.img")
	os.Link("a.img", "hard.img")
	os.Symlink("dir", "linked")
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.img", "b.img", false}, {"a.img", "./a.img", true}, {"a.img", "link.img", true}, {"hard.img", "a.img", true},
		{"a.img", "dir/a.img", false}, {"linked/a.img", "dir/a.img", true}, {"linked/new.img", "dir/new.img", true},
		{"new.img", "dir/new.img", false}, {"absent/x", "absent/x", true}, {"absent/x", "absent/y", false},
	} {
		if got := sameTarget(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestMakeOrders(t *testing.T) {
	got, err := makeOrders("http://10.0.0.1/lab/ezio.conf", []conf.Pair{{Torrent: "a.torrent", Target: "x.img"}})
	if want := (order{"http://10.0.0.1/lab/a.torrent", "x.img"}); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, pairs := range [][]conf.Pair{
		{{Torrent: "-", Target: "x"}},
		{{Torrent: "a", Target: "x"}, {Torrent: "b", Target: "y"}, {Torrent: "c", Target: "./x"}},
	} {
		if got, err := makeOrders("ezio.conf", pairs); cli.Code(err) != cli.Usage {
			t.Errorf("%v: %v, %v", pairs, got, err)
		}
	}
}

func TestVerdictIsTheWorst(t *testing.T) {
	refused, failed, wrong := cli.Refusef("x"), cli.Failf("x"), &cli.Error{Code: cli.Mismatch, Err: errors.New("x")}
	for _, c := range []struct {
		errs []error
		want int
	}{
		{[]error{nil}, cli.OK}, {[]error{nil, nil}, cli.OK}, {[]error{refused}, cli.Refused}, {[]error{nil, refused, nil}, cli.Refused},
		{[]error{refused, failed}, cli.Failed}, {[]error{failed, wrong, refused}, cli.Mismatch}, {[]error{wrong, cli.ErrInterrupted}, cli.Interrupted},
	} {
		err := verdict(c.errs)
		if got := cli.Code(err); got != c.want {
			t.Errorf("%v: %d, want %d", c.errs, got, c.want)
		}
		if err != nil && c.want != cli.Interrupted && !cli.Silent(err) {
			t.Errorf("%v: it would be said twice", c.errs)
		}
	}
}
