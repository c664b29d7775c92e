// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// An option is what people need to know of a flag. Help, manual page and completions are all made
// from it, so that they say the same.
type option struct {
	Long, Short string // names without dashes; Short may be ""
	Arg         string // the word for its value, "" when it takes none
	Text        string // what it does
	Default     string // "" when there is none worth telling
	Repeat      bool   // may be given several times
	Values      values
}

// values says what a flag's value can be completed to.
type values struct {
	Files     bool
	Words     []string
	Interface bool
}

// known are the flags whose values are words of a fixed list.
var known = map[string]values{
	"progress":   {Words: []string{"auto", "bar", "plain", "json", "none"}},
	"completion": {Words: shells},
	"interface":  {Interface: true},
	"ionice":     {Words: ioClasses},
}

// fileWords are the words for values that name a file or a device.
var fileWords = []string{"FILE", "DEVICE", "DIR"}

// describe reads a flag's definition. Its usage has the word for the value in backquotes.
func describe(f cli.Flag) option {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return option{Long: f.Names()[0]}
	}
	o := option{Text: d.GetUsage(), Values: known[f.Names()[0]]}
	for _, n := range f.Names() {
		if len(n) > 1 {
			o.Long = n
		} else {
			o.Short = n
		}
	}
	if s, ok := f.(cli.DocGenerationSliceFlag); ok {
		o.Repeat = s.IsSliceFlag()
	}
	if b, ok := f.(*cli.BoolFlag); ok {
		o.Repeat = b.Count != nil
	}
	before, rest, _ := strings.Cut(o.Text, "`")
	word, after, quoted := strings.Cut(rest, "`")
	if quoted {
		o.Text = before + word + after
	}
	if !d.TakesValue() {
		return o
	}
	if o.Arg = word; word == "" {
		o.Arg = "VALUE"
	}
	for _, w := range fileWords {
		o.Values.Files = o.Values.Files || strings.HasPrefix(o.Arg, w)
	}
	o.Default = defaultText(d)
	return o
}

// defaultText is the default worth telling: a nought says that there is none.
func defaultText(d cli.DocGenerationFlag) string {
	s := d.GetDefaultText()
	if t, err := strconv.Unquote(s); err == nil {
		s = t
	}
	switch s {
	case "0", "0s", "false", "[]":
		return ""
	}
	return s
}

// synopsis is the option as it is typed.
func (o option) synopsis() string {
	s := "--" + o.Long
	if o.Short != "" {
		s = "-" + o.Short + ", " + s
	}
	if o.Arg != "" {
		s += " " + o.Arg
	}
	return s
}

// sentence is what the option does, with its default.
func (o option) sentence() string {
	if o.Default == "" {
		return o.Text
	}
	return o.Text + " (default: " + o.Default + ")"
}

// options are those of a tool that its help shows.
func (t Tool) options() []option {
	var list []option
	for _, f := range t.flags() {
		if v, ok := f.(cli.VisibleFlag); !ok || v.IsVisible() {
			list = append(list, describe(f))
		}
	}
	return append(list, describe(cli.HelpFlag))
}
