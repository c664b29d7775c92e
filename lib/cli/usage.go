// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"regexp"

	"github.com/urfave/cli/v2"
)

// What package flag says of a wrong command line: with one dash whatever was typed, and of numbers
// and times only that they are none.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.+)$`)
	noValue     = regexp.MustCompile(`^flag needs an argument: -(.+)$`)
	badValue    = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]+): (.*)$`)
)

// wrongUsage says in the tool's own words what package flag has against the command line.
func (t Tool) wrongUsage(err error) *Error {
	text := err.Error()
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("unknown option %s", dashed(m[1]))
	} else if m := noValue.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("%s needs a value", dashed(m[1]))
	} else if m := badValue.FindStringSubmatch(text); m != nil {
		value, name, reason := m[1], m[2], m[3]
		if reason == "parse error" {
			reason = fmt.Sprintf("%q is not %s", value, t.wanted(name))
		}
		text = fmt.Sprintf("%s: %s", dashed(name), reason)
	}
	return Usagef("%s", text).WithHint("%s --help", t.Name)
}

// wanted is what a flag's value should be.
func (t Tool) wanted(name string) string {
	for _, f := range t.flags() {
		for _, n := range f.Names() {
			if n != name {
				continue
			}
			switch f.(type) {
			case *cli.IntFlag:
				return "a whole number"
			case *cli.DurationFlag:
				return "a time such as 90s, 15m or 2h"
			case *cli.BoolFlag:
				return "a value for it: it takes none"
			}
		}
	}
	return "a value for it"
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
