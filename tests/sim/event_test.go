// SPDX-License-Identifier: GPL-2.0-or-later

package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Events happen by time, and those of one moment in the order in which they were made, however far ahead
// they were: also those that come while others of their moment happen.
func TestTimelineIsInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ahead := []time.Duration{0, 1, time.Microsecond, time.Millisecond, 40 * time.Millisecond, 500 * time.Millisecond, time.Second, 30 * time.Second, time.Hour}
	var line timeline
	var want []entry
	var now time.Duration
	for made := 0; made < 20000 || len(want) > 0; {
		for made < 20000 && (len(want) == 0 || rng.IntN(100) < 50) {
			most := ahead[rng.IntN(len(ahead))]
			x := entry{at: now + time.Duration(rng.Int64N(int64(most)+1)), seq: uint64(made + 1), idx: int32(made)}
			line.push(x.at, event{bytes: x.idx})
			i, _ := slices.BinarySearchFunc(want, x, entry.compare)
			want = slices.Insert(want, i, x)
			made++
		}
		at, e := line.pop()
		if at != want[0].at || e.bytes != want[0].idx {
			t.Fatalf("event %d at %v, want %d at %v", e.bytes, at, want[0].idx, want[0].at)
		}
		now, want = at, want[1:]
		if line.length != len(want) {
			t.Fatalf("%d events to come, want %d", line.length, len(want))
		}
	}
}
