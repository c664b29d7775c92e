// SPDX-License-Identifier: GPL-2.0-or-later

package conf

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Pair
	}{
		"new keys": {"TORRENT=a.torrent\nTARGET=/dev/sda1\n", []Pair{{"a.torrent", "/dev/sda1", 1}}},
		"old keys": {"disk=/dev/sda\ntorrent=lab.torrent", []Pair{{"lab.torrent", "/dev/sda", 1}}},
		"mixed":    {"torrent=a\nTARGET=b", []Pair{{"a", "b", 1}}},
		"several": {"# the lab\n\nTORRENT=a TARGET=/dev/sda1\nTARGET=/dev/sda2; export TORRENT=b # here\n",
			[]Pair{{"a", "/dev/sda1", 3}, {"b", "/dev/sda2", 4}}},
		"quotes":     {`TORRENT='a b'"$"'c' TARGET="/tmp/\"x\" y\\z"`, nil},
		"quoted":     {`TORRENT='a $b c' TARGET="/tmp/\"x\" y\\z\$1"`, []Pair{{"a $b c", `/tmp/"x" y\z$1`, 1}}},
		"backslash":  {"TORRENT=a\\ b\\\nc TARGET=\\#x\n", []Pair{{"a bc", "#x", 1}}},
		"hash":       {"TORRENT=a#b\nTARGET=c #d\n", []Pair{{"a#b", "c", 1}}},
		"CRLF":       {"TORRENT=a\r\nTARGET=b\r\n", []Pair{{"a", "b", 1}}},
		"UTF-8 mark": {"\xef\xbb\xbfTORRENT=a\nTARGET=é\n", []Pair{{"a", "é", 1}}},
		"globs":      {"TORRENT=*\nTARGET='?'\n", []Pair{{"*", "?", 1}}},
		"URL":        {"TORRENT=http://10.0.0.1:6969/a.torrent?x=1\nTARGET=/dev/disk/by-id/x\n", []Pair{{"http://10.0.0.1:6969/a.torrent?x=1", "/dev/disk/by-id/x", 1}}},
	} {
		if name == "quotes" {
			c.want = []Pair{{"a b$c", `/tmp/"x" y\z`, 1}}
		}
		got, err := Parse([]byte(c.text))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "it assigns neither TORRENT nor TARGET",
		"# nothing\n":                          "it assigns neither TORRENT nor TARGET",
		"TORRENT=a":                            "line 1: TORRENT without TARGET",
		"\ndisk=a\n":                           "line 2: disk without torrent",
		"TORRENT=a\nTORRENT=b\nTARGET=c":       "line 1: TORRENT without TARGET before line 2",
		"TORRENT=a\nTARGET=b\nTARGET=c\n":      "line 3: TARGET without TORRENT",
		"TORRENT=a\nTARGET=b\n\nTARGTE=c\n":    "line 4: unknown key TARGTE: TORRENT and TARGET (or torrent and disk) are known",
		"magnet='magnet:?xt=urn:btih:00'\n":    "line 1: magnet is not supported: a magnet link has no list of extents; name the torrent, TORRENT=http://SEED:6969/a.torrent",
		"TORRENT=$(reboot)\nTARGET=b":          "line 1: nothing is executed: put what has a $( or ` in single quotes",
		"TORRENT=a\nTARGET=\"/dev/`id`\"":      "line 2: nothing is executed: put what has a $( or ` in single quotes",
		"TORRENT=$HOME/a\nTARGET=b":            "line 1: variables are not expanded: put what has a $ in single quotes",
		"TORRENT=${x:-a}\nTARGET=b":            "line 1: variables are not expanded: put what has a $ in single quotes",
		"TORRENT=$((1+1))\nTARGET=b":           "line 1: only plain and quoted text is read",
		"TORRENT=~/a\nTARGET=b":                "line 1: ~ is not expanded: write the whole path, or quote it",
		"TORRENT=a TARGET=b; reboot":           "line 1: only assignments such as TARGET=/dev/sda1 are read, no commands",
		"TORRENT=a TARGET=b reboot":            "line 1: quote the value of TORRENT, or leave no space after the =",
		"TORRENT= a\nTARGET=b":                 "line 1: quote the value of TORRENT, or leave no space after the =",
		"TORRENT = a\nTARGET=b":                "line 1: there is a space before the =",
		"TORRENT=a TARGET=b &":                 "line 1: only assignments such as TARGET=/dev/sda1 are read, no commands",
		"TORRENT=a TARGET=b > /etc/passwd":     "line 1: only assignments such as TARGET=/dev/sda1 are read, no commands",
		"if true; then TORRENT=a TARGET=b; fi": "line 1: only assignments such as TARGET=/dev/sda1 are read, no commands",
		"export TORRENT":                       "line 1: only assignments such as TARGET=/dev/sda1 are read",
		"TORRENT=\nTARGET=b":                   "line 1: TORRENT is empty",
		"TORRENT=''\nTARGET=b":                 "line 1: TORRENT is empty",
	} {
		got, err := Parse([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %+v, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"TORRENT='a\nTARGET=b", "TORRENT=(a b)", "TORRENT+=a", "TORRENT=\"a", "<html><body>404</body></html>", "\x00\x01\x7fELF"} {
		if got, err := Parse([]byte(text)); err == nil || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// A shell that reads the same file has the same values.
func TestAShellAgrees(t *testing.T) {
	for _, text := range []string{
		`TORRENT=a TARGET=b`, `TORRENT="a b" TARGET='c d'`, `TORRENT=a\ b\"c TARGET="x\y\\z\"\$"`, "TORRENT=\"a\\\nb\" TARGET='c\\\nd'",
		`TORRENT=a'b'"c"\d TARGET=a#b#`, `TORRENT=* TARGET=[a-z]?{x,y}`, `TORRENT='"' TARGET="'"`, "TORRENT=a\t # x\nTARGET='#'#'#'",
	} {
		got, err := Parse([]byte(text))
		if err != nil || len(got) != 1 {
			t.Errorf("%q: %+v, %v", text, got, err)
			continue
		}
		out, err := exec.Command("sh", "-c", text+"\nprintf '%s\\n%s' \"$TORRENT\" \"$TARGET\"").Output()
		if want := got[0].Torrent + "\n" + got[0].Target; err != nil || string(out) != want {
			t.Errorf("%q: %q, a shell says %q, %v", text, want, out, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("TORRENT=a\nTARGET='b c'\n"))
	f.Add([]byte("torrent=\"x\\\"$\" disk=\\\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Parse(text)
		if (err == nil) != (len(got) > 0) {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, p := range got {
			if p.Torrent == "" || p.Target == "" || p.Line < 1 {
				t.Fatalf("%+v", p)
			}
		}
	})
}
