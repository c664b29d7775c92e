// SPDX-License-Identifier: GPL-2.0-or-later

package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
)

// A Rate is bytes a second on the command line: a size as Size reads it, 10M or 10MB, or what a link
// is sold as, 100Mbit or 1Gbit (powers of 1000, eighths of a byte). A trailing /s is allowed; 0 is no
// limit.
type Rate int64

// leastRate keeps a limit from being so low that no block comes through in the time that others give
// it: most likely it is bits mistaken for bytes, or a unit forgotten.
const leastRate = 64 << 10 // bytes a second

var bitUnits = map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}

// Set parses a rate.
func (r *Rate) Set(text string) error {
	t := strings.TrimSuffix(strings.TrimSpace(text), "/s")
	n, err := parseBits(t)
	if err != nil {
		var s Size
		if s.Set(t) != nil {
			return fmt.Errorf("%q is not a rate such as 20MB, 20MiB or 100Mbit", text)
		}
		n = int64(s)
	}
	if n != 0 && n < leastRate {
		return fmt.Errorf("%q is less than %s a second", text, humanize.IBytes(leastRate))
	}
	*r = Rate(n)
	return nil
}

func parseBits(t string) (int64, error) {
	digits := strings.TrimRight(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := bitUnits[strings.ToLower(strings.TrimSpace(t[len(digits):]))]
	v, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || v < 0 || v*unit/8 > math.MaxInt64/2 {
		return 0, strconv.ErrSyntax
	}
	return int64(v * unit / 8), nil
}

func (r *Rate) String() string {
	if *r == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*r)) + "/s"
}

// RateFlag is a flag that takes a Rate; read it with RateOf.
func RateFlag(name, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: new(Rate), Usage: usage}
}

// RateOf is the value of a RateFlag in bytes a second, 0 when there is no limit.
func (c *Call) RateOf(name string) int64 {
	if r, ok := c.Generic(name).(*Rate); ok && r != nil {
		return int64(*r)
	}
	return 0
}
