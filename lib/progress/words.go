// SPDX-License-Identifier: GPL-2.0-or-later

package progress

import "time"

// Size words a number of bytes, as in "11.2 MiB".
func Size(bytes int64) string { return size(float64(bytes)) }

// Rate words bytes a second, as in "11.2 MiB/s".
func Rate(bytes int64) string { return size(float64(bytes)) + "/s" }

// Duration words seconds in at most two units, as in "3 min 20 s".
func Duration(seconds int64) string { return duration(seconds) }

// Elapsed words a time that has passed; a short one has a decimal.
func Elapsed(d time.Duration) string { return elapsed(d) }

// Percent is rounded down: 100 is said only of what is complete.
func Percent(done, total int64) int {
	if total <= 0 {
		return 0
	}
	return percent(done, total)
}
